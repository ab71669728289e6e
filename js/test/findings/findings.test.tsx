import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import { fixture } from "../fixtures";
import { click, open, root, text } from "../page";

test("a failure selects its finding, leaf, call and moment", async () => {
  const store = await open("failed");
  expect(text(".jd-header")).toContain("✗ 2 findings");
  expect(text(".jd-lost")).toBe("300 ms lost to avoidable compilations");
  expect(text(".jd-finding.jd-here")).toBe(
    "Ndivision by a standard deviation of 0 in (x - mean) / (std + self.eps)" +
      "cell 5, line 13 · model · train_step, call 192",
  );
  expect(text(".jd-answer mark")).toBe("(x - mean) / (std + self.eps)");
  expect(text(".jd-answer p")).toBe(
    "NaN was born in (x - mean) / (std + self.eps) at cell 5, line 13",
  );
  expect(text(".jd-fix .jd-fact")).toMatch(/^causedivision by/);
  expect(text(".jd-rest")).toContain("denominator std + self.eps is exactly 0 at [17, 0, 0, 0]");
  expect(text(".jd-rest summary")).toBe("NaN in 4 leaves: 3 of the 6 leaves of model, train_step(...)[0]");
  expect(root.querySelector(".jd-details")).toBeNull();
  expect(store.selection.leaf.value).toBe(0);
  expect(store.selection.call.value).toEqual({ function: "train_step", number: 192 });
  // The end of the failing call; finding the origin took a while longer.
  expect(store.selection.time.value).toBeCloseTo((fixture("failed").report?.began ?? 0) + 3.3045);
});

test("what a failure has opened stays when the same report comes again", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toLeaf(3));
  await act(() => store.receive(fixture("failed")));
  expect(store.selection.subject.value).toEqual({ kind: "leaf" });
  expect(store.shown.tree.value?.paths[store.selection.leaf.value]).toBe("model.conv2.bias");
});

test("from a leaf its findings, and back", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toLeaf(0));
  expect(text(".jd-leaf h3")).toContain("model.conv1.kernel");
  expect(text(".jd-leaf")).toContain("Findings that touch it");
  await click(".jd-leaf section .jd-link");
  expect(store.selection.finding.value).toBe(1);
  expect(root.querySelector(".jd-leaf")).toBeNull();
});

test("the comment that lets a value be is there to be copied", async () => {
  await open("failed");
  const meant = [...document.querySelectorAll(".jd-story .jd-fact")].find((s) =>
    s.textContent?.startsWith("meant?"),
  );
  expect(meant?.textContent).toContain("# jaxdbg: allow nan on cell 5, line 13");
  const button = meant?.querySelector(".jd-copy");
  expect(button?.getAttribute("title")).toBe("copy # jaxdbg: allow nan");
});
