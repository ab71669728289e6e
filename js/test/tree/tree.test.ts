import { expect, test } from "vitest";
import { GOOD, INF, NAN } from "../../src/badness";
import { unpack } from "../../src/columns";
import type { HistoryData, OutputsData, TreeData } from "../../src/contract";
import { BadOutputs, type FailedTree } from "../../src/tree/bad_outputs";
import { cellOf, groups, icicle, leavesAt, waffle } from "../../src/tree/layout";
import { telling } from "../../src/tree/lines";
import { below, type Module, moduleAt, modulesOf, steps } from "../../src/tree/modules";
import { matches } from "../../src/tree/search";
import { Tree } from "../../src/tree/tree";
import { fixture } from "../fixtures";

function tree(name: string, at = 0): Tree {
  return new Tree(fixture(name).trees[at] as TreeData);
}

test("columns come back as they went", () => {
  expect([...Array.from(unpack({ same: 3 }, 2))]).toEqual([3, 3]);
  expect(Array.from(unpack({ list: [1, null] }, 2))).toEqual([1, NaN]);
  expect(Array.from(unpack({ same: 0, but: { "2": 5, "1": null } }, 4))).toEqual([
    0, NaN, 5, 0,
  ]);
  const packed = tree("tree");
  expect(packed.data.largest).toHaveProperty("f32");
  expect(packed.number("largest", 37)).toBeCloseTo(10 ** Math.sin(1), 5);
  expect(packed.number("size", 0)).toBe(256);
  expect(packed.text("shape", 1)).toBe("16");
});

test("steps of a path", () => {
  expect(steps("model.layers[3].kernel")).toEqual(["model", ".layers", "[3]", ".kernel"]);
  expect(steps("batch['x.y[0]'][17]")).toEqual(["batch", "['x.y[0]']", "[17]"]);
  expect(steps(String.raw`p['it\'s.x'].w`)).toEqual(["p", String.raw`['it\'s.x']`, ".w"]);
  expect(steps("f(...)['w'][0]")).toEqual(["f(...)", "['w']", "[0]"]);
  expect(steps("loss")).toEqual(["loss"]);
});

test("modules are ranges of leaves", () => {
  const root = modulesOf("m", ["m.a.w", "m.a.b", "m.c", "m.d[0].w", "m.d[1].w"]);
  const m = root.children[0];
  expect(m?.children.map((c) => [c.path, c.start, c.end])).toEqual([
    ["m.a", 0, 2],
    ["m.d", 3, 5],
  ]);
  expect(below("m.a.w", "m.a")).toBe("w");
});

/** The modules of leaves, each path taken apart by itself. */
function plainly(paths: string[]): string[] {
  const found: string[] = [];
  let open: { path: string; start: number; at: number }[] = [];
  paths.forEach((path, leaf) => {
    const inner = steps(path).slice(0, -1);
    const heads = inner.map((_, i) => inner.slice(0, i + 1).join(""));
    const same = heads.findIndex((head, i) => open[i]?.path !== head);
    open = open.slice(0, same < 0 ? heads.length : same);
    for (const head of heads.slice(open.length)) {
      open.push({ path: head, start: leaf, at: found.push(head) - 1 });
    }
    for (const { path: p, start, at } of open) found[at] = `${p} ${start} ${leaf + 1}`;
  });
  return found;
}

function told(module: Module): string[] {
  return module.children.flatMap((c) => [`${c.path} ${c.start} ${c.end}`, ...told(c)]);
}

test("modules are those of paths taken apart one by one", () => {
  const few = ["a.b.c", "a.b", "a.b[0]", "a.bc.d", "a.b.c", "a", "a['x.y'].z", "a['x.y']",
    "a['x.yz'].z", "b", "f(a.b).c", "f(a.c).c", "f(a.c)[0]", "", "a[1].w", "a[10].w"];
  expect(told(modulesOf("a", few))).toEqual(plainly(few));
  let seed = 1;
  const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const parts = [".a", ".ab", "[0]", "[01]", "['a.b']", "['a']", ".a(b.c)"];
  for (let round = 0; round < 300; round++) {
    const paths = Array.from({ length: 12 }, () =>
      ["m", ...Array.from({ length: next(5) }, () => parts[next(parts.length)])].join(""),
    );
    expect(told(modulesOf("m", paths))).toEqual(plainly(paths));
  }
});

test("badness at the end, and at a call of the history", () => {
  const model = tree("failed");
  const at = (number: number) => model.snapshotOf({ function: "train_step", number });
  expect(model.badness(0, at(192))).toBe(NAN);
  expect(model.badness(0, at(191))).toBe(GOOD);
  expect(at(149)).toBe(2);
  expect(model.callOf(at(149))).toEqual({ function: "train_step", number: 100 });
  expect(model.history?.firstBadAt).toBe(7);
  expect(model.bad(at(192))).toEqual([0, 1, 4]);
  expect(model.bad()).toEqual([]); // as it is now: the last good values
});

test("a tree as a failing call gave it, beside the tree as it is", () => {
  const now = tree("failed");
  const outputs = new BadOutputs(fixture("failed").outputs[0] as OutputsData);
  const failed = outputs.placedIn(now) as FailedTree;
  expect(outputs.placedIn(now)).toBe(failed);
  expect(failed.bad()).toEqual([0, 1, 4]);
  expect(now.bad()).toEqual([]);
  const numbers = [failed, now].map((t) => [t.number("nan", 4), t.firstBad(4)]);
  expect(numbers).toEqual([[10, [17, 0]], [0, undefined]]);
  expect(failed.text("group", 4)).toBe("params");
  expect(failed.outputOf(5)).toBe(-1);
  expect(failed.number("largest", 5)).toBe(now.number("largest", 5));
  expect(outputs.placedIn(tree("failed", 1))).toBeNull();
  const loss = tree("failed", 2);
  expect([loss.known, loss.knows(0)]).toEqual([false, false]);
  expect(outputs.placedIn(loss)?.knows(0)).toBe(true);
  expect(outputs.placedIn(loss)?.text("dtype", 0)).toBe("float32");
});

test("a shared leaf is found by any of its paths", () => {
  const data = fixture("failed").trees[0] as TreeData;
  const tied = new Tree({ ...data, also: { "model.tied": 4 } });
  expect([tied.find("model.tied"), tied.find("model.head.kernel")]).toEqual([4, 4]);
});

test("a call of the past has the kinds of then", () => {
  const data = fixture("failed").trees[0] as TreeData;
  const history = data.history as HistoryData;
  const bad = history.bad.map((c, i) => (i === 4 ? { list: [9, 9, 0, 0, 0, 0] } : c));
  const nan = history.nan.map((c, i) => (i === 4 ? { list: [0, 1, 0, 0, 0, 0] } : c));
  const then = (told: Partial<HistoryData>) =>
    new Tree({ ...data, history: { ...history, bad, ...told } });
  expect([0, 1, 2].map((leaf) => then({ nan }).badness(leaf, 4))).toEqual([INF, NAN, GOOD]);
  expect(then({ nan: [] }).badness(0, 4)).toBe(NAN);
});

test("the one bad leaf among 600 has a cell, and the cell has the leaf", () => {
  const deep = tree("tree");
  expect(deep.bad()).toEqual([417]);
  for (const width of [300, 620, 1200]) {
    const map = waffle(groups(deep, deep.modules()), width, 260);
    const at = cellOf(map, 417);
    const hit = at && leavesAt(map, at.x + 1, at.y + 1);
    expect(hit && hit.from <= 417 && 417 < hit.to).toBe(true);
    expect(map.height).toBeLessThan(width < 400 ? 640 : 300);
  }
});

test("in a narrow panel the cells of a few leaves stay large", () => {
  const data = fixture("tree").trees[0] as TreeData;
  const paths = Array.from({ length: 27 }, (_, i) => `opt.mu.layers[${i}].kernel`);
  const tree = new Tree({ ...data, paths });
  const map = waffle(groups(tree, tree.modules()), 380, 260);
  expect(map.pitch).toBeGreaterThanOrEqual(14);
  expect(map.share).toBe(1);
});

test("every leaf has its cell, at any number of them", () => {
  for (const n of [1, 7, 2_000, 40_000]) {
    const data = fixture("tree").trees[0] as TreeData;
    const paths = Array.from({ length: n }, (_, i) => `m.b[${i >> 3}].w${i % 8}`);
    const many = new Tree({ ...data, paths });
    const all = groups(many, many.modules());
    expect(all.reduce((sum, g) => sum + g.end - g.start, 0)).toBe(n);
    expect(all.length).toBeLessThan(30);
    const map = waffle(all, 620, 260);
    for (let i = 0; i < n; i += Math.ceil(n / 50)) {
      const at = cellOf(map, i);
      const hit = at && leavesAt(map, at.x + 0.5, at.y + 0.5);
      expect(hit && hit.from <= i && i < hit.to, `leaf ${i} of ${n}`).toBe(true);
    }
  }
});

test("a group is of one part of the state", () => {
  const data = fixture("failed").trees[0] as TreeData;
  const group = { table: ["params", "batch stats"], index: { list: [0, 0, 1, 1, 0, 0] } };
  const mixed = new Tree({ ...data, group });
  const all = groups(mixed, mixed.modules());
  expect(all.map((g) => [g.part, g.start, g.end])).toEqual([
    ["params", 0, 2],
    ["batch stats", 2, 4],
    ["params", 4, 6],
  ]);
  const map = waffle(all, 620, 260);
  expect(map.headings.map((h) => h.text)).toEqual(["params · 4", "batch stats · 2"]);
});

test("the icicle is as wide as the leaves are many", () => {
  const deep = tree("tree");
  const { slabs } = icicle(deep.modules(), 600, 240);
  expect(slabs[0]).toMatchObject({ x: 0, width: 600 });
  const level = slabs.filter((s) => s.y === slabs.at(-1)?.y);
  expect(level.reduce((w, s) => w + s.width, 0)).toBeCloseTo(600);
});

test("search and scope", () => {
  const deep = tree("tree");
  expect(matches(deep, "  ")).toBeNull();
  expect(matches(deep, "blocks[26] BIAS")?.includes(417)).toBe(true);
  const scope = { path: "model.blocks[26]", label: "", start: 416, end: 432 };
  expect(moduleAt(deep.modules(), scope)).toMatchObject({ path: "model.blocks[26]" });
  const run = moduleAt(deep.modules(), { path: "", label: "", start: 400, end: 432 });
  expect(run.children.map((c) => c.path)).toEqual(["model.blocks[25]", "model.blocks[26]"]);
});

test("the lines that tell most: first the bad ones, then those that grew", () => {
  const model = tree("failed");
  expect(telling(model).slice(0, 2)).toEqual([0, 1]);
  expect(telling(model)).toHaveLength(6);
  expect(telling(tree("tree"))).toEqual([]);
});
