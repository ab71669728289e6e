import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import type { Finding } from "../../src/contract";
import { Axis, folds, searches } from "../../src/timeline/axis";
import { extent, lanes, ticks } from "../../src/timeline/lanes";
import { wholeOf } from "../../src/timeline/range";
import { fixture } from "../fixtures";
import { click, open, press, root, text } from "../page";

test("a compilation says what has changed, and what to do", async () => {
  const store = await open("failed");
  const again = store.data.compilations.value.findIndex((e) => e.reason);
  await act(() => store.navigate.toCompilation(again));
  expect(text(".jd-details")).toContain("Again, because of shape of x");
  expect(text(".jd-details .jd-change")).toBe(
    "beforefloat32[64,8,8,1]nowfloat32[5,8,8,1]",
  );
  expect(text(".jd-advice")).toMatch(/^Leave the last/);
});

test("the slider's call, and a click on a call, select the moment", async () => {
  const store = await open("failed");
  const began = fixture("failed").report?.began ?? 0;
  await act(() => store.navigate.toCall({ function: "train_step", number: 3 }));
  // The middle of the nearest recorded call.
  expect(store.selection.time.value).toBeCloseTo(began + 1.602, 4);
  await act(() => store.navigate.toCall({ function: "nothing", number: 3 }));
  expect(store.selection.time.value).toBeNull();
});

test("arrows go from compilation to compilation, and never to the notebook", async () => {
  const store = await open("failed");
  await press("ArrowRight", ".jd-timeline");
  expect(store.selection.subject.value).toEqual({ kind: "compilation", index: 0 });
  const event = await press("ArrowRight", ".jd-timeline");
  expect(event.defaultPrevented).toBe(true);
  expect(store.selection.subject.value).toEqual({ kind: "compilation", index: 1 });
  await press("ArrowLeft", ".jd-timeline");
  await press("ArrowLeft", ".jd-timeline");
  expect(store.selection.subject.value).toEqual({ kind: "compilation", index: 0 });
  await press("+", ".jd-timeline");
  expect(text(".jd-timeline .jd-link")).toBe("show all");
  await press("0", ".jd-timeline");
  expect(root.querySelector(".jd-timeline .jd-link")).toBeNull();
});

test("the compilations of a whole session, without a region", async () => {
  const store = await open("compilations");
  expect(text(".jd-header")).toBe("compilations300 ms lost to avoidable compilationsjaxdbg?");
  expect(text(".jd-spent")).toContain("since jaxdbg was loaded");
  expect(store.data.timeline.value?.cells.map((c) => c.name)).toEqual(["cell 8", "cell 9"]);
});

test("an hour between two cells is folded, and time goes back and forth", () => {
  const cells = [
    { name: "cell 1", start: 100, end: 102 },
    { name: "cell 2", start: 102.1, end: 104 },
    { name: "cell 3", start: 3704, end: 3706 },
  ];
  expect(folds(cells)).toEqual([{ from: 104, to: 3704 }]);
  const axis = new Axis(folds(cells), 6);
  expect(axis.shown(103)).toBe(103);
  expect(axis.shown(3704) - axis.shown(104)).toBeCloseTo(0.3);
  for (const time of [100, 104, 1000, 3704, 3705.5]) {
    expect(axis.real(axis.shown(time))).toBeCloseTo(time, 3);
  }
  const often = Array.from({ length: 50 }, (_, i) => ({
    name: `cell ${i}`,
    start: 1 + 13 * i,
    end: 2 + 13 * i,
  }));
  const many = new Axis(folds(often), 50);
  expect(folds(often)).toHaveLength(49);
  expect(many.shown(638 + 1) - many.shown(1)).toBeLessThan(64);
  expect(folds([{ name: "region", start: 5, end: 90 }])).toEqual([]);
});

test("the search for an origin is folded", async () => {
  const store = await open("failed");
  const { report, timeline } = fixture("failed");
  const calls = store.data.calls.value;
  const [, finding] = report?.findings ?? [];
  const ended = calls?.end({ function: "train_step", number: 192 }) ?? 0;
  const found = { ...finding, time: ended + 60 } as Finding;
  const cells = [{ name: "cell 8", start: report?.began ?? 0, end: ended + 60.01 }];
  const { axis, range } = wholeOf(timeline.events, [found], cells, calls);
  expect(axis.folds).toEqual([{ from: ended, to: ended + 60, search: true }]);
  expect(range[1] - range[0]).toBeLessThan(6);
  // A short one is as long as it was.
  expect(searches([{ ...found, time: ended + 0.1 }], cells, calls)).toEqual([]);
  expect(searches([found], cells, null)).toEqual([]);
});

test("the table of compilations is sorted by a click on its head", async () => {
  await open("failed");
  await click("th button", 3);
  expect(root.querySelector("tbody tr td:nth-child(4)")?.textContent).toBe("840 ms");
  expect(root.querySelectorAll("th")[3]?.getAttribute("aria-sort")).toBe("descending");
});

test("lanes and spans", () => {
  const events = fixture("failed").timeline.events;
  expect(lanes([], ["evaluate"]).map((l) => l.name)).toEqual(["evaluate"]);
  const names = Array.from({ length: 20 }, (_, i) => `f${i}`);
  const [rest] = lanes([], names).slice(-1);
  expect(rest?.name).toBe("9 more functions");
  expect(rest?.called).toContain("f19");
  expect(lanes(events).map((l) => [l.name, l.events.length])).toEqual([
    ["train_step", 3],
    ["accuracy", 6],
    ["library and eager ops", 3],
  ]);
  const [from, to] = extent(events, [0]);
  expect(to - from).toBeGreaterThan(2.6);
  expect(ticks(3.5, 8)).toBe(0.5);
});
