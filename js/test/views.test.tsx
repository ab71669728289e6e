import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Finding, OutputsData, SourceFrame, TileAnswer, TileRequest } from "../src/contract";
import { headOf } from "../src/findings/origin";
import { Panel } from "../src/panel";
import { marked } from "../src/source";
import { Store } from "../src/store/store";
import { bytes, number, seconds } from "../src/text";
import { Axis, folds } from "../src/timeline/axis";
import { extent, lanes, ticks } from "../src/timeline/lanes";
import { expression, windowAt } from "../src/tree/elements";
import { rowsOf, within } from "../src/tree/table";
import { fixture } from "./fixtures";

let root: HTMLDivElement;

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

async function open(name: string, store = new Store()): Promise<Store> {
  store.receive(fixture(name));
  await act(() => render(<Panel store={store} />, root));
  return store;
}

function text(selector: string): string {
  return root.querySelector(selector)?.textContent?.replace(/\s+/g, " ").trim() ?? "";
}

async function press(key: string, on = ".jd-panel"): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  await act(() => {
    root.querySelector(on)?.dispatchEvent(event);
  });
  return event;
}

async function click(selector: string, at = 0): Promise<void> {
  await act(() => {
    (root.querySelectorAll(selector)[at] as HTMLElement).click();
  });
}

test("a failure is where one looks: story, leaf, call and moment", async () => {
  const store = await open("failed");
  expect(text(".jd-header")).toContain("✗ 2 findings");
  expect(text(".jd-lost")).toBe("300 ms lost to avoidable compilations");
  expect(text(".jd-finding.jd-here .jd-what")).toMatch(/^NaN in model\.conv1\.kernel/);
  expect(text(".jd-details h4")).toBe("NaN was born in (x - mean) / (std + self.eps)");
  expect(text(".jd-details mark")).toBe("(x - mean) / (std + self.eps)");
  expect(text(".jd-details")).toContain("(std + self.eps)[17, 0, 0, 0] = 0.0");
  expect(store.selection.leaf.value).toBe(0);
  expect(store.selection.call.value).toEqual({ function: "train_step", number: 192 });
  // The end of the failing call; finding the origin took a while longer.
  expect(store.selection.time.value).toBeCloseTo((fixture("failed").report?.began ?? 0) + 3.3045);
});

test("the map says in which module the value was born", async () => {
  const store = await open("failed");
  const label = (): string => root.querySelector(".jd-map canvas")?.getAttribute("aria-label") ?? "";
  expect(store.shown.birth.value).toBeNull();
  expect(label()).not.toContain("Born in");
  const data = fixture("failed");
  const origin = data.report?.findings[1]?.origin;
  if (!origin) throw new Error("the fixture tells of no origin");
  origin.module = "model.conv1";
  await act(() => store.receive(data));
  expect(store.shown.birth.value).toEqual({ module: "model.conv1", start: 0, end: 2 });
  expect(text(".jd-map .jd-legend")).toContain("born in model.conv1");
  expect(label()).toContain("Born in model.conv1.");
});

test("from a leaf its findings, and back", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toLeaf(0));
  expect(text(".jd-leaf h3")).toContain("model.conv1.kernel");
  expect(text(".jd-leaf")).toContain("Findings that touch it");
  await click(".jd-leaf section .jd-link");
  expect(store.selection.subject.value).toEqual({ kind: "finding", index: 1 });
});

test("what a failure has opened stays when the same report comes again", async () => {
  const store = await open("failed");
  await act(() => store.navigate.toLeaf(3));
  await act(() => store.receive(fixture("failed")));
  expect(store.selection.subject.value).toEqual({ kind: "leaf" });
  expect(store.shown.tree.value?.paths[store.selection.leaf.value]).toBe("model.conv2.bias");
});

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

test("the table holds few rows, and says where each one stands", async () => {
  const store = await open("tree");
  await press("t");
  await press("]");
  const rows = [...root.querySelectorAll('[role="treeitem"]')];
  expect(rows.length).toBeLessThan(60);
  const here = rows.find((r) => r.getAttribute("aria-selected") === "true");
  expect(here?.textContent).toContain("N");
  expect(here?.getAttribute("aria-level")).toBe("7");
  expect(here?.getAttribute("aria-setsize")).toBe("2");
  expect(store.shown.bad.value).toEqual([417]);
});

test("rows follow the modules that are open", async () => {
  const store = await open("tree");
  const tree = store.shown.tree.value;
  if (!tree) throw new Error("no tree");
  const module = tree.modules();
  expect(rowsOf(tree, module, () => false)).toHaveLength(1);
  expect(rowsOf(tree, module, (m) => m.depth < 3)).toHaveLength(40);
  expect(within([3, 417, 500], { ...module, start: 400, end: 500 })).toBe(1);
});

test("arrows walk the tree", async () => {
  await open("tree");
  await press("t");
  await press("End", '[role="tree"]');
  await press("Home", '[role="tree"]');
  await press("ArrowLeft", '[role="tree"]');
  expect(root.querySelectorAll('[role="treeitem"]')).toHaveLength(1);
  await press("ArrowRight", '[role="tree"]');
  expect(root.querySelectorAll('[role="treeitem"]').length).toBeGreaterThan(1);
});

test("the slider says since when", async () => {
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

test("a compilation tells what has changed, and what to do", async () => {
  const store = await open("failed");
  const again = store.data.compilations.value.findIndex((e) => e.reason);
  await act(() => store.navigate.toCompilation(again));
  expect(text(".jd-details")).toContain("Again, because of shape of x");
  expect(text(".jd-details .jd-change")).toBe(
    "beforefloat32[64,8,8,1]nowfloat32[5,8,8,1]",
  );
  expect(text(".jd-advice")).toMatch(/^Leave the last/);
});

test("the slider's call, and a click on a call, mark the moment", async () => {
  const store = await open("failed");
  const began = fixture("failed").report?.began ?? 0;
  await act(() => store.navigate.toCall({ function: "train_step", number: 3 }));
  // The nearest call that was kept, in its middle.
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
  expect(text(".jd-header")).toBe("compilations300 ms lost to avoidable compilationsjaxdbg");
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

test("the table of compilations is sorted by a click on its head", async () => {
  await open("failed");
  await click("th button", 3);
  expect(root.querySelector("tbody tr td:nth-child(4)")?.textContent).toBe("840 ms");
  expect(root.querySelectorAll("th")[3]?.getAttribute("aria-sort")).toBe("descending");
});

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

test("a kernel that is gone is told, not waited for", async () => {
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

test("what the failing call gave, and back to what is there", async () => {
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

test("while the kernel is busy the picture stands for the elements", async () => {
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

test("of two findings about a leaf each has its own results", async () => {
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

test("a result that no tree holds is a leaf like any other", async () => {
  const store = await open("failed");
  await act(() => void store.navigate.toPath("train_step(...)[0]"));
  await act(() => store.navigate.toLeaf(store.selection.leaf.value));
  expect(store.shown.tree.value?.name).toBe("train_step(...)");
  expect(text(".jd-shown")).toBe("What call 192 gave, which no tree holds.");
  expect(text(".jd-numbers")).toContain("1 NaN of 1");
  expect(root.querySelector(".jd-moment")).toBeNull();
});

const TILE: TileAnswer = {
  answer: "tile",
  id: 1,
  error: "",
  rows: 1,
  columns: 5,
  axes: [-1, 0],
  step: [1, 2],
  shape: [10],
  window: [[0, 10]],
  largest: { list: [1, 2, null, 4, 5] },
  worst: { list: [0, 0, 2, 0, 0] },
  values: [],
};

test("a cell of a tile is a window", () => {
  expect(windowAt(TILE, 2)).toEqual([[4, 6]]);
  expect(expression("m.w", [[4, 6], [0, 3]], [10, 3])).toBe("m.w[4:6]");
  expect(expression("m.w", [[0, 10], [1, 2]], [10, 3])).toBe("m.w[:, 1]");
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

test("a panel of another version says so", () => {
  const data = { ...fixture("clean"), jaxdbg_panel: 2 as never };
  expect(() => new Store().receive(data)).toThrow("reads format 1 and received format 2");
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

test("an expression over several lines is marked on each", () => {
  const frame: SourceFrame = {
    file: "a.py",
    line: 3,
    function: "",
    code: "    y = f(a,\n          b) + 1",
    cell: null,
    column: 8,
    end_line: 4,
    end_column: 12,
  };
  expect(marked(frame)).toEqual([
    { number: 3, before: "y = ", inside: "f(a,", after: "" },
    { number: 4, before: "      ", inside: "b)", after: " + 1" },
  ]);
});

test("words and numbers", () => {
  expect(number(0.00012346)).toBe("0.0001235");
  expect(number(1.5e-9)).toBe("1.50e−9");
  expect(number("inf")).toBe("inf");
  expect([bytes(999), bytes(1500), bytes(2e9)]).toEqual(["999 B", "1.5 kB", "2.0 GB"]);
  expect([seconds(0.0123), seconds(3), seconds(200)]).toEqual(["12 ms", "3.00 s", "3 min 20 s"]);
  const origin = fixture("failed").report?.findings[1]?.origin;
  if (!origin) throw new Error("no origin");
  expect(headOf({ ...origin, verdict: "came in" })).toBe("NaN came in");
});
