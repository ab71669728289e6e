// The waffle: one cell for each leaf, in the order of the tree, grouped by module.

import { useMemo, useState } from "preact/hooks";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import type { Store } from "../store/store";
import { count, leaves } from "../text";
import type { Colours } from "../theme";
import { scale } from "./colouring";
import { leafTip } from "./describe";
import { drawWaffle, nameOf } from "./draw_map";
import { type Group, groups } from "./groups";
import { Legend } from "./legend";
import { fitted, segments } from "./labels";
import { commonStart, type Module } from "./modules";
import type { Tree } from "./tree";
import { type Block, leavesAt, type Waffle, waffle } from "./waffle";

const HEIGHT = 260;

export function TreeMap({ store, theme }: { store: Store; theme: number }) {
  const [ref, width] = useWidth();
  const [at, setAt] = useState<Place | null>(null);
  const tree = store.shown.tree.value as Tree;
  const root = store.shown.root.value as Module;
  const { map, labels } = useMemo(() => {
    const all = groups(tree, root);
    const common = commonStart(all.map((g) => g.path));
    const labels = new Map(all.map((g) => [g.start, segments(g.label, common, tree.name)]));
    const longest = Math.max(...[...labels.values()].map((l) => fitted(l, Infinity).length));
    const texts = { names: longestName(tree, all), labels: longest };
    return { map: waffle(all, Math.max(width, 200), HEIGHT, texts), labels };
  }, [tree, root, width]);
  const snapshot = store.shown.snapshot.value;
  const found = store.shown.found.value;
  const leaf = store.selection.leaf.value;
  const birth = store.shown.birth.value;
  const paint = store.view.paint.value;
  const all = tree.length > 1 && allBad(tree, store.shown.bad.value.length);
  const pale = all && birth !== null;
  const height = Math.ceil(map.height) + 2;
  const draw = (ctx: CanvasRenderingContext2D, colours: Colours): void => {
    const good = scale(tree, paint, snapshot, colours);
    drawWaffle(ctx, { map, tree, snapshot, good, colours, found, leaf, birth, labels, pale });
  };
  const pick = (p: Place): void => {
    const hit = leavesAt(map, p.x, p.y);
    if (hit) {
      store.navigate.toLeaf(worstIn(tree, hit.from, hit.to, snapshot));
      return;
    }
    const block = labelAt(map, p);
    if (block) goInto(store, block);
  };
  return (
    <div class="jd-map" ref={ref}>
      {all && (
        <p class="jd-note">
          All {leaves(store.shown.bad.value.length)} hold NaN or Inf
          {birth && `, born in ${birth.module}`}
        </p>
      )}
      <div class="jd-field">
        <Canvas
          width={width}
          height={height}
          theme={theme}
          label={`Map of ${leaves(tree.length)} of ${tree.name}; ${count(store.shown.bad.value.length)} hold NaN or Inf.${birth ? ` Born in ${birth.module}.` : ""} The table lists them.`}
          draw={draw}
          onPoint={(p, e) => {
            setAt(p);
            const over = p && (leavesAt(map, p.x, p.y) || labelAt(map, p));
            (e.target as HTMLElement).style.cursor = over ? "pointer" : "";
          }}
          onPick={pick}
        />
        <Tip at={at} lines={at ? tipOf(map, tree, snapshot, at) : []} />
      </div>
      <Legend store={store} tree={tree} map={map} element={ref.current} />
    </div>
  );
}

/** The characters of the longest name; Infinity for a tree too large to show names. */
function longestName(tree: Tree, all: Group[]): number {
  if (tree.length > 200) return Infinity;
  let longest = 0;
  for (const group of all) {
    for (let i = group.start; i < group.end; i++) {
      longest = Math.max(longest, nameOf(tree, group, i).length);
    }
  }
  return longest;
}

/** Whether each leaf that can hold a NaN does. */
function allBad(tree: Tree, bad: number): boolean {
  if (!bad) return false;
  const { table } = tree.data.kind;
  const numbers = ["float", "complex", ""];
  if (table.every((kind) => numbers.includes(kind))) return bad === tree.length;
  return bad === tree.paths.filter((_, i) => numbers.includes(tree.text("kind", i))).length;
}

function worstIn(tree: Tree, from: number, to: number, snapshot: number): number {
  const worst = tree.worst(from, to, snapshot);
  for (let i = from; i < to; i++) if (tree.badness(i, snapshot) === worst) return i;
  return from;
}

function goInto(store: Store, block: Block): void {
  const { path, label, start, end } = block;
  const root = store.shown.root.value;
  if (root && (start > root.start || end < root.end)) {
    store.selection.scope.value = { path, label, start, end };
  }
}

function labelAt(map: Waffle, p: Place): Block | undefined {
  return map.blocks.find(
    (b) => p.x >= b.labelX && p.x < b.x - 6 && p.y >= b.y && p.y < b.y + 14,
  );
}

function tipOf(map: Waffle, tree: Tree, snapshot: number, at: Place): string[] {
  const hit = leavesAt(map, at.x, at.y);
  if (!hit) {
    const block = labelAt(map, at);
    if (!block) return [];
    return [block.label, `${leaves(block.end - block.start)} · click to go in`];
  }
  if (hit.to - hit.from > 1) {
    const bad = tree.worst(hit.from, hit.to, snapshot);
    const what = bad ? "holds NaN or Inf" : "no NaN, no Inf";
    return [
      `${tree.paths[hit.from]} … ${tree.paths[hit.to - 1]}`,
      `${hit.to - hit.from} leaves share this cell · ${what}`,
    ];
  }
  return leafTip(tree, hit.from);
}
