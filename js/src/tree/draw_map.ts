// Draws the map: names, cells, the module of birth, the selected leaf.

import { type Badness, GOOD } from "../badness";
import { MONO } from "../canvas";
import type { Colours } from "../theme";
import type { Birth } from "./birth";
import { drawBad, drawPale, leafColour, type Scale } from "./colouring";
import type { Group } from "./groups";
import { fitted, segments } from "./labels";
import { below } from "./modules";
import type { Tree } from "./tree";
import { CHARACTER, cellOf, type Waffle } from "./waffle";

export function nameOf(tree: Tree, group: Group, leaf: number): string {
  const path = tree.paths[leaf] ?? "";
  return path === tree.name ? "" : fitted(segments(below(path, group.path), "", ""), Infinity);
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
  /** The segments of the labels, by the first leaf of the group. */
  labels: ReadonlyMap<number, string[]>;
  /** Whether all is bad, so that the module of birth has the ink. */
  pale: boolean;
}

export function drawWaffle(ctx: CanvasRenderingContext2D, what: Drawn): void {
  const { map, tree, snapshot, colours } = what;
  const side = map.pitch - map.gap;
  const bad: [Badness, number, number, boolean][] = [];
  tintBirth(ctx, what);
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
        ctx.fillText(nameOf(tree, block, leaf), x + side + 5, y + baseline(map));
      }
      if (worst !== GOOD) {
        bad.push([worst, x, y, what.pale && !isIn(block, what.birth)]);
        continue;
      }
      const next = leafColour(tree, leaf, snapshot, what.good, colours);
      if (next !== colour) ctx.fillStyle = colour = next;
      ctx.fillRect(x, y, side, side);
    }
  }
  if (what.found) veil(ctx, what, side);
  // Last, and never too small: one among 100,000 must be seen.
  for (const [kind, x, y, pale] of bad) {
    if (kind !== GOOD) (pale ? drawPale : drawBad)(ctx, kind, x, y, side, colours);
  }
  outline(ctx, what, side);
}

function drawTexts(ctx: CanvasRenderingContext2D, what: Drawn): void {
  const { map, colours, tree, snapshot, labels } = what;
  for (const heading of map.headings) {
    ctx.font = "600 11px system-ui, sans-serif";
    ctx.fillStyle = colours.dim;
    ctx.fillText(heading.text, heading.x, heading.y + 14);
  }
  for (const block of map.blocks) {
    const wrong = tree.worst(block.start, block.end, snapshot) !== GOOD;
    const loud = wrong && (!what.pale || isIn(block, what.birth));
    ctx.font = `${loud ? "700 " : ""}11px ${MONO}`;
    ctx.fillStyle = loud ? colours.text : colours.dim;
    const text = fitted(labels.get(block.start) ?? [], Math.floor(block.labelWidth / CHARACTER));
    ctx.fillText(text, block.labelX, block.y + baseline(map));
  }
}

/** The labels of groups, and the names of leaves beside large cells, are on one line. */
function baseline(map: Waffle): number {
  return Math.max(map.pitch - map.gap, 14) / 2 + 4;
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

function isIn(block: Group, birth: Birth | null): boolean {
  return birth !== null && block.end > birth.start && block.start < birth.end;
}

/** The module where the bad value was born, on a ground of its own. */
function tintBirth(ctx: CanvasRenderingContext2D, { map, colours, birth }: Drawn): void {
  for (const [i, b] of map.blocks.filter((b) => isIn(b, birth)).entries()) {
    const cells = Math.min(b.perRow, Math.ceil((b.end - b.start) / map.share));
    const right = b.x + cells * map.stride;
    ctx.fillStyle = colours.accent;
    ctx.globalAlpha = 0.16;
    ctx.fillRect(b.labelX - 4, b.y - 3, right - b.labelX + 6, Math.max(b.rows * map.pitch, 16) + 4);
    ctx.globalAlpha = 1;
    const free = b.labelX + map.width / map.columns - right;
    ctx.font = "600 11px system-ui, sans-serif";
    if (!i && free > 70) ctx.fillText("born here", right + 8, b.y + baseline(map));
  }
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
