// Draws the map: names, cells, the module of birth, the selected leaf.

import { type Badness, GOOD } from "../badness";
import { MONO } from "../canvas";
import type { Colours } from "../theme";
import type { Birth } from "./birth";
import { drawBad, leafColour, type Scale } from "./colouring";
import type { Group } from "./groups";
import { below, commonStart } from "./modules";
import type { Tree } from "./tree";
import { cellOf, type Waffle } from "./waffle";

export function nameOf(tree: Tree, group: Group, leaf: number): string {
  return below(tree.paths[leaf] ?? "", group.path);
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
