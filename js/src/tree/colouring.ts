// How a leaf of the map is coloured: by its badness, or by a number of it.

import { GOOD, INF, NAN } from "../badness";
import type { Paint } from "../store/view";
import { type Colours, RAMP } from "../theme";
import type { Tree } from "./tree";

export interface Scale {
  /** The colour of a leaf that is good. */
  colour(leaf: number): string;
  low: string;
  high: string;
  ramp: string[];
}

/** The colours of good leaves; null where a tree lacks the numbers. */
export function scale(
  tree: Tree,
  paint: Paint,
  snapshot: number,
  colours: Colours,
): Scale | null {
  if (paint === "badness") return null;
  const value = valueOf(tree, paint, snapshot);
  if (!value) return null;
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < tree.length; i++) {
    const v = value(i);
    if (Number.isFinite(v)) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  }
  if (low > high) return null;
  if (paint === "change") {
    const most = Math.max(1, Math.abs(low), Math.abs(high));
    [low, high] = [-most, most];
  }
  const ramp = paint === "change" ? colours.change : colours.ramp;
  // Little head-room is the problem to find, so it is the strong end.
  const strong = paint === "headroom" ? [...ramp].reverse() : ramp;
  const span = high - low || 1;
  return {
    colour(leaf) {
      const v = value(leaf);
      if (!Number.isFinite(v)) return colours.unknown;
      const step = Math.round(((v - low) / span) * (RAMP - 1));
      return strong[step] ?? colours.unknown;
    },
    low: label(paint, low),
    high: label(paint, high),
    ramp: strong,
  };
}

type Value = (leaf: number) => number;

function valueOf(tree: Tree, paint: Paint, snapshot: number): Value | null {
  const history = tree.history;
  const at = snapshot >= 0 ? snapshot : (history?.calls.length ?? 0) - 1;
  if (paint === "headroom") return (i) => tree.number("headroom", i);
  if (paint === "magnitude") {
    const then = history?.largest[at];
    const now: Value = (i) =>
      then && (snapshot >= 0 || !tree.known) ? (then[i] ?? NaN) : tree.number("largest", i);
    return (i) => Math.log10(now(i));
  }
  const now = history?.largest[at];
  const before = history?.largest[at - 1];
  if (!now || !before) return null;
  return (i) => Math.log2((now[i] ?? NaN) / (before[i] ?? NaN));
}

function label(paint: Paint, value: number): string {
  if (paint === "headroom") return `${Math.round(value)} bits`;
  if (paint === "magnitude") {
    const [digits, power] = (10 ** value).toExponential(0).split("e") as [
      string,
      string,
    ];
    return `${digits}e${Number(power)}`;
  }
  const times = 2 ** Math.abs(value);
  const text = times > 999 ? times.toExponential(0).replace("e+", "e") : times.toPrecision(2);
  return value < 0 ? `÷${text}` : `×${text}`;
}

/** The colour of a leaf. */
export function leafColour(
  tree: Tree,
  leaf: number,
  snapshot: number,
  good: Scale | null,
  colours: Colours,
): string {
  const bad = tree.badness(leaf, snapshot);
  if (bad !== GOOD) return bad === NAN ? colours.nan : colours.inf;
  if (good) return good.colour(leaf);
  const kind = tree.text("kind", leaf);
  const numbers = kind === "float" || kind === "complex" || !tree.known;
  return numbers ? colours.good : colours.unknown;
}

/**
 * A bad cell: its colour, and a second channel for readers who do not see the colour. A
 * large cell has a letter; a small one is full for NaN, and a lozenge for an infinity.
 */
export function drawBad(
  ctx: CanvasRenderingContext2D,
  bad: typeof INF | typeof NAN,
  x: number,
  y: number,
  size: number,
  colours: Colours,
): void {
  ctx.fillStyle = bad === NAN ? colours.nan : colours.inf;
  if (size >= 9) {
    ctx.fillRect(x, y, size, size);
    drawSign(ctx, bad, x, y, size, colours.onBad);
    return;
  }
  const side = Math.max(size, 4);
  const shift = (side - size) / 2;
  if (bad === NAN) {
    ctx.fillRect(x - shift, y - shift, side, side);
    return;
  }
  ctx.beginPath();
  ctx.moveTo(x + size / 2, y - shift - 1);
  ctx.lineTo(x + size + shift + 1, y + size / 2);
  ctx.lineTo(x + size / 2, y + size + shift + 1);
  ctx.lineTo(x - shift - 1, y + size / 2);
  ctx.fill();
}

function drawSign(
  ctx: CanvasRenderingContext2D,
  bad: typeof INF | typeof NAN,
  x: number,
  y: number,
  size: number,
  colour: string,
): void {
  ctx.fillStyle = colour;
  ctx.font = `700 ${Math.round(size * (bad === NAN ? 0.72 : 0.95))}px sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(bad === NAN ? "N" : "∞", x + size / 2, y + size / 2 + 0.5);
  ctx.textAlign = "start";
  ctx.textBaseline = "alphabetic";
}

/** A bad cell where all are: an outline, with the same sign. */
export function drawPale(
  ctx: CanvasRenderingContext2D,
  bad: typeof INF | typeof NAN,
  x: number,
  y: number,
  size: number,
  colours: Colours,
): void {
  if (size < 5) {
    drawBad(ctx, bad, x, y, size, colours);
    return;
  }
  const colour = bad === NAN ? colours.nan : colours.inf;
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
  if (size >= 9) drawSign(ctx, bad, x, y, size, colour);
}
