// Draws the timeline: cells, calls, compilations, failures.

import { badnessOf, INF } from "../badness";
import { MONO } from "../canvas";
import type { Cell, CompileEvent, Finding } from "../contract";
import { seconds } from "../text";
import type { Colours } from "../theme";
import type { Axis } from "./axis";
import type { Calls } from "./calls";
import { type Lane, ticks } from "./lanes";

export const LABEL = 132;
export const LANE = 20;
export const TOP = 32;

type Context = CanvasRenderingContext2D;

/** The contents of the timeline and its range, in seconds as the axis shows them. */
export interface Drawn {
  axis: Axis;
  from: number;
  to: number;
  width: number;
  height: number;
  cells: readonly Cell[];
  lanes: readonly Lane[];
  events: readonly CompileEvent[];
  calls: Calls | null;
  findings: readonly Finding[];
  /** Which event is selected; -1 for none. */
  picked: number;
  moment: number | null;
  brush: readonly [number, number] | null;
}

/** The place of a moment, in pixels. */
export function xOf(what: Drawn, time: number): number {
  return place(what, what.axis.shown(time));
}

function place({ from, to, width }: Drawn, shown: number): number {
  return LABEL + ((shown - from) * (width - LABEL - 8)) / (to - from);
}

export function drawTimeline(ctx: Context, colours: Colours, what: Drawn): void {
  what.lanes.forEach((lane, row) => drawLane(ctx, colours, what, lane, row));
  ctx.save();
  ctx.beginPath();
  ctx.rect(LABEL, 0, what.width - LABEL, what.height);
  ctx.clip();
  drawTicks(ctx, colours, what);
  for (const cell of what.cells) drawCell(ctx, colours, what, cell);
  for (const fold of what.axis.folds) drawFold(ctx, colours, what, fold.from, fold.to);
  for (const [row, lane] of what.lanes.entries()) {
    drawCalls(ctx, colours, what, lane, row);
    for (const i of lane.events) drawEvent(ctx, colours, what, i, row);
  }
  for (const finding of what.findings) drawFinding(ctx, colours, what, finding);
  drawMoment(ctx, colours, what);
  ctx.restore();
}

function drawLane(
  ctx: Context,
  colours: Colours,
  { width }: Drawn,
  lane: Lane,
  row: number,
): void {
  const y = TOP + row * LANE;
  ctx.font = `11px ${MONO}`;
  ctx.fillStyle = colours.line;
  ctx.fillRect(LABEL, y + LANE - 1, width - LABEL, 0.5);
  ctx.fillStyle = lane.user ? colours.text : colours.dim;
  const name = lane.name.length > 18 ? `${lane.name.slice(0, 17)}…` : lane.name;
  ctx.fillText(name, 0, y + 14);
}

function drawTicks(ctx: Context, colours: Colours, what: Drawn): void {
  const began = what.cells[0]?.start ?? what.axis.real(what.from);
  const step = ticks(what.to - what.from, (what.width - LABEL) / 90);
  ctx.font = "10px system-ui, sans-serif";
  let last = -Infinity;
  const first = Math.ceil((what.axis.real(what.from) - began) / step);
  const end = (what.axis.real(what.to) - began) / step;
  for (let n = first; n <= end; n++) {
    const time = began + n * step;
    const fold = what.axis.folds.find((f) => f.from < time && time < f.to);
    if (fold) n = Math.max(n, Math.floor((fold.to - began) / step)); // on to its end
    const x = xOf(what, time);
    if (fold || x - last < 40) continue;
    ctx.fillStyle = colours.line;
    ctx.fillRect(x, 12, 0.5, what.height);
    ctx.fillStyle = colours.dim;
    const text = n === 0 ? "0" : seconds(n * step);
    const wide = ctx.measureText?.(text).width ?? 0;
    // The last one is at the left of its tick, where it would be cut.
    const left = x + 2 + wide > what.width ? x - 2 - wide : x + 2;
    if (left > last + 40 || left === x + 2) ctx.fillText(text, left, 10);
    last = x;
  }
}

/** From where to where a cell ran, with its name. */
function drawCell(ctx: Context, colours: Colours, what: Drawn, cell: Cell): void {
  const x = xOf(what, cell.start);
  const w = Math.max(xOf(what, cell.end) - x, 2);
  ctx.fillStyle = colours.line;
  ctx.fillRect(x, 15, w, 13);
  ctx.fillRect(x, 15, 1, what.height);
  ctx.fillRect(x + w - 1, 15, 1, what.height);
  ctx.font = "10px system-ui, sans-serif";
  ctx.fillStyle = colours.text;
  const left = Math.max(x, LABEL);
  const wide = ctx.measureText?.(cell.name).width ?? 0;
  if (x + w - left > wide + 6) ctx.fillText(cell.name, left + 4, 25);
}

/** A gap that is narrower than its time. */
function drawFold(
  ctx: Context,
  colours: Colours,
  what: Drawn,
  from: number,
  to: number,
): void {
  const x = xOf(what, from);
  const w = xOf(what, to) - x;
  ctx.strokeStyle = colours.dim;
  ctx.lineWidth = 1;
  for (const shift of [-2, 2]) {
    ctx.beginPath();
    ctx.moveTo(x + w / 2 + shift - 3, 28);
    ctx.lineTo(x + w / 2 + shift + 3, 15);
    ctx.stroke();
  }
}

function drawCalls(
  ctx: Context,
  colours: Colours,
  what: Drawn,
  lane: Lane,
  row: number,
): void {
  const { calls } = what;
  if (!calls) return;
  ctx.fillStyle = colours.call;
  const y = TOP + row * LANE + 6;
  for (const i of calls.of(lane.called)) {
    const x = xOf(what, calls.start(i));
    const right = xOf(what, calls.start(i) + calls.seconds(i));
    if (right < LABEL || x > what.width) continue;
    // A slit between two bars that touch, where they are wide enough.
    ctx.fillRect(x, y, Math.max(right - x - (right - x > 3 ? 0.75 : 0), 1), LANE - 12);
  }
}

function drawEvent(
  ctx: Context,
  colours: Colours,
  what: Drawn,
  index: number,
  row: number,
): void {
  const e = what.events[index] as CompileEvent;
  const x = xOf(what, e.start);
  const w = Math.max(xOf(what, e.start + e.duration) - x, 1.5);
  if (x > what.width || x + w < LABEL) return;
  const y = TOP + row * LANE + 4;
  ctx.fillStyle = colours.phases[e.phase] ?? colours.good;
  ctx.fillRect(x, y, w, LANE - 8);
  if (e.reason && w > 1) {
    // A retrace: a dark foot, wider than a thin bar.
    ctx.fillStyle = e.reason.avoidable ? colours.nan : colours.text;
    ctx.fillRect(x, y + LANE - 9, Math.max(w, 3), 2.5);
  }
  if (e.failed) drawCross(ctx, x + w, y + 6, colours.nan);
  if (index === what.picked) {
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 1.5;
    ctx.strokeRect(x - 1.5, y - 1.5, w + 3, LANE - 5);
  }
}

/** The end of the failing call; the search for the origin comes after it. */
function drawFinding(ctx: Context, colours: Colours, what: Drawn, finding: Finding): void {
  if (!finding.time) return;
  const ended = what.calls?.end({ function: finding.function, number: finding.call });
  const at = xOf(what, ended ?? finding.time);
  const colour = badnessOf(finding) === INF ? colours.inf : colours.nan;
  drawFailure(ctx, at, what.height, colour);
}

function line(ctx: Context, x: number, from: number, to: number): void {
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
}

/** A failure: a line, and a triangle at its head. */
function drawFailure(ctx: Context, x: number, height: number, colour: string): void {
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5;
  line(ctx, x, TOP - 4, height);
  ctx.beginPath();
  ctx.moveTo(x - 5, TOP - 9);
  ctx.lineTo(x + 5, TOP - 9);
  ctx.lineTo(x, TOP - 1);
  ctx.fill();
}

function drawMoment(ctx: Context, colours: Colours, what: Drawn): void {
  if (what.moment) {
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 1;
    ctx.setLineDash([2, 3]);
    line(ctx, xOf(what, what.moment), TOP - 4, what.height);
    ctx.setLineDash([]);
  }
  if (what.brush) {
    const [from, to] = what.brush.map((t) => place(what, t)) as [number, number];
    ctx.globalAlpha = 0.18;
    ctx.fillStyle = colours.accent;
    ctx.fillRect(from, 0, to - from, what.height);
  }
}

function drawCross(ctx: Context, x: number, y: number, colour: string): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x - 3, y - 3);
  ctx.lineTo(x + 3, y + 3);
  ctx.moveTo(x - 3, y + 3);
  ctx.lineTo(x + 3, y - 3);
  ctx.stroke();
}
