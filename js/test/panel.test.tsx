import { act } from "preact/test-utils";
import { expect, test, vi } from "vitest";
import { Tree } from "../src/tree/tree";
import { open, press, root, text } from "./page";

test("keys go from one bad leaf to the next, and nowhere else", async () => {
  const store = await open("tree");
  const outside = vi.fn();
  document.body.addEventListener("keydown", outside);
  const event = await press("]");
  expect(store.selection.leaf.value).toBe(417);
  expect(event.defaultPrevented).toBe(true);
  await press("[");
  expect(store.selection.leaf.value).toBe(417);
  await press("t");
  expect(store.view.layout.value).toBe("table");
  await press("d");
  expect(outside).not.toHaveBeenCalled();
  document.body.removeEventListener("keydown", outside);
});

test("a key explains the keys and the words", async () => {
  await open("failed");
  expect(root.querySelector(".jd-help")).toBeNull();
  await press("?");
  expect(text(".jd-help")).toContain("leafone array of a model");
  expect(text(".jd-help")).toContain("]next bad leaf");
  expect(root.querySelector(".jd-ask")?.getAttribute("aria-expanded")).toBe("true");
  await press("Escape");
  expect(root.querySelector(".jd-help")).toBeNull();
});

test("a running cell says how far it is", async () => {
  const store = await open("clean");
  const live = { function: "train_step", call: 41, rate: 12.5, seconds: 3 };
  await act(() => {
    store.data.live.value = { running: true, calls: 44, ...live };
  });
  expect(text(".jd-header")).toContain("● running");
  expect(text(".jd-facts")).toBe("44 callstrain_step call 4112.5 calls/s3.00 s");
});

test("a tree without numbers is not finite", async () => {
  const store = await open("tree");
  const data = store.shown.trees.value[0]!.data;
  const kind = { ...data.kind, table: ["other"] };
  const nothing = { ...data, kind, paths: ["f"], known: true };
  await act(() => {
    store.data.trees.value = [new Tree(nothing)];
  });
  expect(text(".jd-header")).toContain("no arrays");
});

test("what was not checked is not clean", async () => {
  const store = await open("clean");
  expect(text(".jd-header")).toContain("✓ clean");
  const report = store.data.report.value!;
  await act(() => {
    store.data.report.value = { ...report, unchecked: { "a part of jaxdbg broke": 2 } };
  });
  expect(text(".jd-header")).toContain("! 2 of 3 calls were not checked");
  await act(() => {
    store.data.report.value = { ...report, unchecked: { interrupted: 0 } };
  });
  expect(text(".jd-header")).toContain("! not everything was checked");
});
