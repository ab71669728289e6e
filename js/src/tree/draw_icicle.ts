// Draws the icicle: the modules, the leaves under them, the selected leaf.

import { GOOD, INF, NAN } from "../badness";
import { MONO } from "../canvas";
import type { Colours } from "../theme";
import { drawBad, leafColour, type Scale } from "./colouring";
import type { Module } from "./modules";
import type { Plan } from "./slabs";
import type { Tree } from "./tree";

type Context = CanvasRenderingContext2D;

interface Drawn {
  plan: Plan;
  root: Module;
  tree: Tree;
  snapshot: number;
  good: Scale | null;
  colours: Colours;
  leaf: number;
}

export function drawIcicle(ctx: Context, what: Drawn): void {
  drawSlabs(ctx, what);
  drawLeaves(ctx, what);
  drawSelected(ctx, what);
}

function drawSlabs(ctx: Context, { plan, tree, snapshot, colours }: Drawn): void {
  ctx.font = `11px ${MONO}`;
  for (const s of plan.slabs) {
    const worst = tree.worst(s.module.start, s.module.end, snapshot);
    ctx.fillStyle = colours.unknown;
    ctx.fillRect(s.x, s.y, Math.max(s.width - 1, 0.5), s.height - 1);
    if (worst !== GOOD) drawBad(ctx, worst, s.x, s.y + s.height - 5, 4, colours);
    if (s.width < 24) continue;
    ctx.fillStyle = worst === GOOD ? colours.dim : colours.text;
    const most = Math.floor((s.width - 8) / 6.7);
    ctx.fillText(s.module.name.replace(/^\./, "").slice(0, most), s.x + 4, s.y + 14);
  }
}

/** The width of a leaf, and the height of all. */
function leafSize({ plan, root }: Drawn): { each: number; tall: number } {
  return {
    each: plan.leaves.width / (root.end - root.start),
    tall: plan.height - plan.leaves.y,
  };
}

function drawLeaves(ctx: Context, what: Drawn): void {
  const { plan, root, tree, snapshot, good, colours } = what;
  const { each, tall } = leafSize(what);
  const step = Math.max(1, Math.floor(1 / each));
  const gap = each > 3 ? 1 : 0;
  const bad: [typeof INF | typeof NAN, number][] = [];
  for (let i = root.start; i < root.end; i += step) {
    const worst = tree.worst(i, Math.min(i + step, root.end), snapshot);
    const x = (i - root.start) * each;
    if (worst !== GOOD) bad.push([worst, x]);
    ctx.fillStyle = leafColour(tree, i, snapshot, good, colours);
    ctx.fillRect(x, plan.leaves.y, Math.max(each * step - gap, 1), tall);
  }
  // Last, and never too narrow: one among 100,000 must be seen.
  for (const [kind, x] of bad) {
    ctx.fillStyle = kind === NAN ? colours.nan : colours.inf;
    ctx.fillRect(x, plan.leaves.y, Math.max(each - gap, 3), tall);
    if (each >= 9) drawBad(ctx, kind, x + (each - 10) / 2, plan.leaves.y + 8, 10, colours);
  }
}

function drawSelected(ctx: Context, what: Drawn): void {
  const { plan, root, colours, leaf } = what;
  if (leaf < root.start || leaf >= root.end) return;
  const { each, tall } = leafSize(what);
  ctx.strokeStyle = colours.text;
  ctx.lineWidth = 2;
  const x = (leaf - root.start) * each;
  ctx.strokeRect(x, plan.leaves.y + 1, Math.max(each, 4), tall - 2);
}
