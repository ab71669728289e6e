import { act } from "preact/test-utils";
import { expect, test, vi } from "vitest";
import type { TileRequest } from "../../src/contract";
import { Store } from "../../src/store/store";
import { expression, windowAt } from "../../src/tree/tile";
import { open, press, root, text, TILE } from "../page";

test("elements are asked for, waited for, and shown for the leaf that asked", async () => {
  const asked: unknown[] = [];
  const store = await open("failed", new Store({ ask: (r) => asked.push(r) }));
  vi.useFakeTimers();
  await act(() => store.navigate.toLeaf(5));
  const path = "model.head.bias";
  const what = { tree: "model", leaf: 5, path, finding: -1, window: [] };
  expect(asked).toEqual([{ ask: "tile", id: 1, ...what }]);
  await act(() => {
    vi.advanceTimersByTime(500);
  });
  vi.useRealTimers();
  expect(text(".jd-busy")).toBe("kernel busy – the elements come when the cell ends");
  await act(() => store.elements.receive({ ...TILE, id: 99 }));
  expect(store.elements.tile.value.state).toBe("asked");
  await act(() => store.elements.receive({ ...TILE, id: 1 }));
  expect(text(".jd-heat")).toContain("model.head.bias");
});

test("a kernel that is gone is reported, not waited for", async () => {
  const dead = (): never => {
    throw new Error("Cannot send");
  };
  const store = await open("failed", new Store({ ask: dead }));
  await act(() => store.navigate.toLeaf(5));
  expect(text(".jd-details")).toContain("The kernel of this panel is gone: run the cell again");
});

test("elements are reached by keys, too", async () => {
  const asked: TileRequest[] = [];
  const store = await open("failed", new Store({ ask: (r) => asked.push(r) }));
  await act(() => store.navigate.toLeaf(5));
  await act(() => store.elements.receive({ ...TILE, id: 1 }));
  for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"]) {
    expect((await press(key, ".jd-cells")).defaultPrevented).toBe(true);
  }
  expect(text(".jd-heat .jd-unseen")).toContain("model.head.bias[2:4]: ");
  await press("Enter", ".jd-cells");
  expect(asked.at(-1)?.window).toEqual([[0, 10]]); // a few around it
  await act(() => store.elements.receive({ ...TILE, id: 2, step: [1, 1], values: [..."abcde"] }));
  for (const key of ["ArrowLeft", "ArrowRight", "Enter"]) await press(key, ".jd-cells");
  expect(text(".jd-value")).toContain("model.head.bias[1] = b");
  await press("Backspace", ".jd-cells");
  expect(asked.at(-1)?.window).toEqual([]);
});

test("while the kernel is busy a picture is shown for the elements", async () => {
  const store = await open("failed", new Store({ ask: () => undefined }));
  vi.useFakeTimers();
  await act(() => store.navigate.toLeaf(4));
  await act(() => {
    vi.advanceTimersByTime(500);
  });
  vi.useRealTimers();
  expect(root.querySelector(".jd-heat canvas")).not.toBeNull();
  expect(text(".jd-busy")).toBe("kernel busy – a closer look comes when the cell ends");
});

test("the bad elements are there without a kernel", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toLeaf(4));
  expect(text(".jd-shown")).toBe("What call 192 gave.");
  expect(root.querySelector(".jd-heat canvas")?.getAttribute("aria-label")).toBe(
    "Elements of model.head.kernel, 64 by 10 cells",
  );
  await act(() => store.navigate.toggleNow());
  expect(root.querySelector(".jd-heat")).toBeNull(); // of these there is no picture
});

test("a cell of a tile is a window", () => {
  expect(windowAt(TILE, 2)).toEqual([[4, 6]]);
  expect(expression("m.w", [[4, 6], [0, 3]], [10, 3])).toBe("m.w[4:6]");
  expect(expression("m.w", [[0, 10], [1, 2]], [10, 3])).toBe("m.w[:, 1]");
});
