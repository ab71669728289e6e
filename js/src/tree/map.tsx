// The waffle: one cell for each leaf, in the order of the tree, grouped by module.

import { useMemo, useState } from "preact/hooks";
import { type Badness, GOOD } from "../badness";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import type { Store } from "../store/store";
import { count, some } from "../text";
import { type Colours, coloursOf } from "../theme";
import type { Birth } from "./birth";
import { drawBad, leafColour, type Scale, scale } from "./colouring";
import { leafTip } from "./describe";
import { type Block, cellOf, type Group, groups, leavesAt, type Waffle, waffle } from "./layout";
import { below, type Module } from "./modules";
import type { Tree } from "./tree";

const HEIGHT = 260;
const MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

export function TreeMap({ store, theme }: { store: Store; theme: number }) {
  const [ref, width] = useWidth();
  const [at, setAt] = useState<Place | null>(null);
  const tree = store.shown.tree.value as Tree;
  const root = store.shown.root.value as Module;
  const map = useMemo(
    () => {
      const all = groups(tree, root);
      return waffle(all, Math.max(width, 200), HEIGHT, longestName(tree, all));
    },
    [tree, root, width],
  );
  const snapshot = store.shown.snapshot.value;
  const found = store.shown.found.value;
  const leaf = store.selection.leaf.value;
  const birth = store.shown.birth.value;
  const paint = store.view.paint.value;
  const height = Math.ceil(map.height) + 2;
  const draw = (ctx: CanvasRenderingContext2D, colours: Colours): void => {
    const good = scale(tree, paint, snapshot, colours);
    drawWaffle(ctx, { map, tree, snapshot, good, colours, found, leaf, birth });
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
      <Canvas
        width={width}
        height={height}
        theme={theme}
        label={`Map of ${some(tree.length, "leaf").replace("leafs", "leaves")} of ${tree.name}; ${count(store.shown.bad.value.length)} hold NaN or Inf.${birth ? ` Born in ${birth.module}.` : ""} The table lists them.`}
        draw={draw}
        onPoint={(p, e) => {
          setAt(p);
          const over = p && (leavesAt(map, p.x, p.y) || labelAt(map, p));
          (e.target as HTMLElement).style.cursor = over ? "pointer" : "";
        }}
        onPick={pick}
      />
      <Tip at={at} lines={at ? tipOf(map, tree, snapshot, at) : []} />
      <Legend store={store} tree={tree} map={map} element={ref.current} />
    </div>
  );
}

function nameOf(tree: Tree, group: Group, leaf: number): string {
  return below(tree.paths[leaf] ?? "", group.path);
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

interface Drawn {
  map: Waffle;
  tree: Tree;
  snapshot: number;
  good: Scale | null;
  colours: Colours;
  found: number[] | null;
  leaf: number;
  birth: Birth | null;
}

export function drawWaffle(ctx: CanvasRenderingContext2D, what: Drawn): void {
  const { map, tree, snapshot, colours } = what;
  const side = map.pitch - map.gap;
  const bad: [Badness, number, number][] = [];
  drawTexts(ctx, what);
  ctx.font = `11px ${MONO}`;
  let colour = "";
  for (const block of map.blocks) {
    let cell = 0;
    for (let leaf = block.start; leaf < block.end; leaf += map.share, cell++) {
      const x = block.x + (cell % block.perRow) * map.stride;
      const y = block.y + Math.floor(cell / block.perRow) * map.pitch;
      const worst = tree.worst(leaf, Math.min(leaf + map.share, block.end), snapshot);
      if (map.stride > map.pitch) {
        ctx.fillStyle = colour = worst === GOOD ? colours.dim : colours.text;
        ctx.fillText(nameOf(tree, block, leaf), x + side + 5, y + 13);
      }
      if (worst !== GOOD) {
        bad.push([worst, x, y]);
        continue;
      }
      const next = leafColour(tree, leaf, snapshot, what.good, colours);
      if (next !== colour) ctx.fillStyle = colour = next;
      ctx.fillRect(x, y, side, side);
    }
  }
  if (what.found) veil(ctx, what, side);
  // Last, and never too small: one among 100,000 must be seen.
  for (const [kind, x, y] of bad) {
    if (kind !== GOOD) drawBad(ctx, kind, x, y, side, colours);
  }
  frameBirth(ctx, what);
  outline(ctx, what, side);
}

function drawTexts(ctx: CanvasRenderingContext2D, { map, colours, tree, snapshot }: Drawn) {
  for (const heading of map.headings) {
    ctx.font = "600 11px system-ui, sans-serif";
    ctx.fillStyle = colours.dim;
    ctx.fillText(heading.text, heading.x, heading.y + 14);
  }
  const common = commonStart(map.blocks.map((b) => b.path));
  for (const block of map.blocks) {
    const wrong = tree.worst(block.start, block.end, snapshot) !== GOOD;
    ctx.font = `${wrong ? "700 " : ""}11px ${MONO}`;
    ctx.fillStyle = wrong ? colours.text : colours.dim;
    const text = below(block.label, common) || block.label;
    ctx.fillText(shorten(text, block.labelWidth, 6.65), block.labelX, block.y + 11);
  }
}

/** Shortens a text in its middle: the end of a path is its most specific part. */
function shorten(text: string, width: number, each: number): string {
  const most = Math.floor(width / each);
  if (text.length <= most) return text;
  const tail = Math.ceil((most - 1) * 0.65);
  return `${text.slice(0, most - 1 - tail)}…${text.slice(-tail)}`;
}

function commonStart(paths: string[]): string {
  const first = paths[0] ?? "";
  let end = first.length;
  for (const path of paths) {
    while (!path.startsWith(first.slice(0, end))) end--;
  }
  const start = first.slice(0, end);
  const cut = start.lastIndexOf(".");
  return paths.length > 1 && cut > 0 ? start.slice(0, cut) : "";
}

/** Greys out the leaves that a search has not found. */
function veil(ctx: CanvasRenderingContext2D, what: Drawn, side: number): void {
  const { map, colours, found } = what;
  ctx.save();
  ctx.globalAlpha = 0.72;
  ctx.fillStyle = colours.ground;
  for (const b of map.blocks) {
    ctx.fillRect(b.x, b.y, b.perRow * map.stride, b.rows * map.pitch);
  }
  ctx.restore();
  ctx.strokeStyle = colours.accent;
  ctx.lineWidth = 1;
  ctx.fillStyle = colours.accent;
  for (const leaf of (found ?? []).slice(0, 20_000)) {
    const at = cellOf(map, leaf);
    if (at) ctx.fillRect(at.x, at.y, side, side);
  }
}

/** A frame around the module where the bad value was born. */
function frameBirth(ctx: CanvasRenderingContext2D, { map, colours, birth }: Drawn): void {
  if (!birth) return;
  ctx.save();
  ctx.strokeStyle = colours.accent;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([4, 2]);
  for (const b of map.blocks) {
    if (b.end <= birth.start || b.start >= birth.end) continue;
    const cells = Math.min(b.perRow, Math.ceil((b.end - b.start) / map.share));
    const right = b.x + cells * map.stride + 2;
    ctx.strokeRect(b.x - 5, b.y - 4, right - b.x + 6, b.rows * map.pitch + 5);
  }
  ctx.restore();
}

function outline(ctx: CanvasRenderingContext2D, what: Drawn, side: number): void {
  const at = what.leaf >= 0 ? cellOf(what.map, what.leaf) : null;
  if (!at) return;
  const size = Math.max(side, 6);
  const shift = (size - side) / 2;
  ctx.lineWidth = 2;
  ctx.strokeStyle = what.colours.ground;
  ctx.strokeRect(at.x - shift - 1, at.y - shift - 1, size + 2, size + 2);
  ctx.strokeStyle = what.colours.text;
  ctx.strokeRect(at.x - shift - 2.5, at.y - shift - 2.5, size + 5, size + 5);
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
    const leaves = block.end - block.start;
    return [block.label, `${count(leaves)} ${leaves === 1 ? "leaf" : "leaves"} · click to go in`];
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

interface LegendProps {
  store: Store;
  tree: Tree;
  map: Waffle;
  element: HTMLElement | null;
}

function Legend({ store, tree, map, element }: LegendProps) {
  const paint = store.view.paint.value;
  return (
    <div class="jd-legend">
      <span>
        <i class="jd-glyph jd-nan">N</i> NaN
      </span>
      <span>
        <i class="jd-glyph jd-inf">∞</i> Inf
      </span>
      {paint === "badness" ? (
        <span>
          <i class="jd-swatch jd-good" /> finite
        </span>
      ) : (
        element && <Ramp store={store} tree={tree} element={element} />
      )}
      <span>
        <i class="jd-swatch jd-unknown" /> no floats, or not known
      </span>
      {store.shown.birth.value && (
        <span>
          <i class="jd-swatch jd-birth" /> born in {store.shown.birth.value.module}
        </span>
      )}
      <span class="jd-space" />
      {map.share > 1 && <span>a cell is {map.share} leaves; a click on a module goes in</span>}
    </div>
  );
}

interface RampProps {
  store: Store;
  tree: Tree;
  element: HTMLElement;
}

function Ramp({ store, tree, element }: RampProps) {
  const paint = store.view.paint.value;
  const found = scale(tree, paint, store.shown.snapshot.value, coloursOf(element));
  if (!found) return <span>nothing to compare with at this call</span>;
  const stops = found.ramp.filter((_, i) => i % 4 === 0 || i === found.ramp.length - 1);
  return (
    <span>
      {found.low}{" "}
      <i class="jd-ramp" style={{ background: `linear-gradient(90deg, ${stops.join(",")})` }} />{" "}
      {found.high}
    </span>
  );
}
