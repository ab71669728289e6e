import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import type { Finding, OutputsData, TileRequest } from "../../src/contract";
import { Store } from "../../src/store/store";
import { fixture } from "../fixtures";
import { click, open, press, root, text } from "../page";

test("the bad outputs of the failing call, and back to the tree as it is", async () => {
  const asked: TileRequest[] = [];
  const store = await open("failed", new Store({ ask: (r) => asked.push(r) }));
  expect(text(".jd-moment small")).toBe("3 leaves bad in call 192 of train_step");
  await act(() => store.navigate.toLeaf(4));
  expect(text(".jd-shown")).toBe("What call 192 gave.");
  expect(text(".jd-numbers")).toContain("10 NaN of 5,120");
  expect(text(".jd-numbers")).toContain("[17, 0]");
  expect(text(".jd-leaf h3 .jd-copy")).toBe("copy");
  expect(root.querySelector(".jd-leaf .jd-copy")?.getAttribute("title")).toBe(
    'copy import jaxdbg; jaxdbg.bad_output("model.head.kernel")',
  );
  expect(asked.at(-1)).toMatchObject({ path: "model.head.kernel", finding: 1 });
  await press("g");
  expect(text(".jd-shown")).toBe("The last good values, as they are now.");
  expect(text(".jd-moment small")).toBe("its last good values");
  expect(text(".jd-numbers")).toContain("NaN, Infnone");
  expect(asked.at(-1)).toMatchObject({ leaf: 4, finding: -1 });
  expect(store.shown.bad.value).toEqual([]);
  await click(".jd-moment button");
  expect(store.shown.bad.value).toEqual([0, 1, 4]);
  await act(() => store.navigate.toLeaf(5));
  expect(text(".jd-shown")).toContain("was finite");
});

test("of two findings about a leaf each has its own outputs", async () => {
  const data = fixture("failed");
  const [first] = data.outputs as [OutputsData];
  const again = { ...(data.report?.findings[1] as Finding), call: 193 };
  data.report?.findings.push(again);
  data.outputs.push({ ...first, finding: 2 });
  const store = new Store();
  await open("clean", store);
  await act(() => store.receive(data));
  await act(() => store.navigate.toFinding(2));
  await act(() => store.navigate.toLeaf(4));
  expect(text(".jd-shown")).toBe("What call 193 gave.");
  const copied = root.querySelector(".jd-leaf .jd-copy")?.getAttribute("title");
  expect(copied).toBe('copy import jaxdbg; jaxdbg.bad_output("model.head.kernel", 3)');
});

test("an output that is in no tree is a leaf like any other", async () => {
  const store = await open("failed");
  await act(() => void store.navigate.toPath("train_step(...)[0]"));
  await act(() => store.navigate.toLeaf(store.selection.leaf.value));
  expect(store.shown.tree.value?.name).toBe("train_step(...)");
  expect(text(".jd-shown")).toBe("What call 192 gave, which no tree holds.");
  expect(text(".jd-numbers")).toContain("1 NaN of 1");
  expect(root.querySelector(".jd-moment")).toBeNull();
});

test("in a saved page, where a tree is known by its history only", async () => {
  const data = fixture("failed");
  for (const tree of data.trees) tree.known = false;
  const store = await open("clean");
  await act(() => store.receive(data));
  await act(() => store.navigate.toLeaf(4));
  expect(text(".jd-shown")).toBe("What call 192 gave.");
  expect(text(".jd-numbers")).toContain("10 NaN of 5,120");
  expect(root.querySelector(".jd-moment")).toBeNull();
});
