import { expect, test } from "vitest";
import type { TreeData } from "../../src/contract";
import { groups } from "../../src/tree/groups";
import { icicle } from "../../src/tree/slabs";
import { Tree } from "../../src/tree/tree";
import { cellOf, leavesAt, waffle } from "../../src/tree/waffle";
import { fixture, tree } from "../fixtures";

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
