import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import { click, open, press, text } from "../page";

test("the slider says since which call a leaf is bad", async () => {
  const store = await open("failed");
  expect(text(".jd-slider")).toContain("first bad: call 192");
  await act(() => {
    store.selection.call.value = { function: "train_step", number: 150 };
  });
  expect(store.shown.bad.value).toEqual([]);
  await click(".jd-slider .jd-link");
  expect(store.selection.call.value?.number).toBe(192);
  expect(store.selection.leaf.value).toBe(0);
});

test("the slider, too, leaves the failing call and comes back to it", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toCall({ function: "train_step", number: 150 }));
  expect(store.shown.failed.value).toBeNull();
  expect(text(".jd-moment small")).toBe("after call 150");
  await act(() => store.navigate.toggleNow());
  expect(store.selection.call.value?.number).toBe(192);
  expect(store.shown.bad.value).toEqual([0, 1, 4]);
  await act(() => store.navigate.toggleNow());
  expect(store.shown.snapshot.value).toBe(-1);
  await act(() => store.navigate.toCall({ function: "train_step", number: 192 }));
  expect(store.shown.bad.value).toEqual([0, 1, 4]);
});

test("typing a search is no command", async () => {
  const store = await open("tree");
  await press("t", ".jd-search");
  expect(store.view.layout.value).toBe("map");
  await act(() => {
    store.view.query.value = "blocks[3]. bias";
  });
  expect(text(".jd-searching small")).toBe("8 found");
  await press("Enter", ".jd-search");
  expect(store.shown.tree.value?.paths[store.selection.leaf.value]).toMatch(/^model\.blocks\[3\].*bias$/);
  await press("Escape", ".jd-search");
  expect(store.view.query.value).toBe("");
});
