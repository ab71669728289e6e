import { expect, test } from "vitest";
import { below, commonStart, type Module, moduleAt, modulesOf, steps } from "../../src/tree/modules";
import { matches } from "../../src/tree/search";
import { tree } from "../fixtures";

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

function flat(module: Module): string[] {
  return module.children.flatMap((c) => [`${c.path} ${c.start} ${c.end}`, ...flat(c)]);
}

test("modules are those of paths taken apart one by one", () => {
  const few = ["a.b.c", "a.b", "a.b[0]", "a.bc.d", "a.b.c", "a", "a['x.y'].z", "a['x.y']",
    "a['x.yz'].z", "b", "f(a.b).c", "f(a.c).c", "f(a.c)[0]", "", "a[1].w", "a[10].w"];
  expect(flat(modulesOf("a", few))).toEqual(plainly(few));
  let seed = 1;
  const next = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const parts = [".a", ".ab", "[0]", "[01]", "['a.b']", "['a']", ".a(b.c)"];
  for (let round = 0; round < 300; round++) {
    const paths = Array.from({ length: 12 }, () =>
      ["m", ...Array.from({ length: next(5) }, () => parts[next(parts.length)])].join(""),
    );
    expect(flat(modulesOf("m", paths))).toEqual(plainly(paths));
  }
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

test("what paths have in common is whole steps", () => {
  const of = (...ends: string[]) => ends.map((end) => `update(...)["p.q"]${end}`);
  expect(commonStart(of('["w"]', '["b"]'))).toBe('update(...)["p.q"]');
  expect(commonStart(['update(...)["layer1"]', 'update(...)["layer2"]'])).toBe("update(...)");
  expect(commonStart(["model.blocks[0].a", "model.blocks[1].a"])).toBe("model");
  expect(commonStart(["model.head.a", "model.head.b"])).toBe("model.head");
  expect(commonStart(["model.a", "other.a"])).toBe("");
  expect(commonStart(["model.a"])).toBe("");
});
