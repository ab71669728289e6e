// Colours for the canvases: read from the theme, so that they follow it.

import { GOOD, INF, NAN, type Tree } from "./tree/tree";
import type { Paint } from "./store";

export interface Colours {
  dark: boolean;
  ground: string;
  text: string;
  dim: string;
  line: string;
  accent: string;
  good: string;
  unknown: string;
  call: string;
  nan: string;
  inf: string;
  phases: Record<string, string>;
  ramp: string[];
  change: string[];
}

const RAMP = 24;

/** The colours of an element's theme. */
export function coloursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const get = (name: string, other: string): string =>
    resolved(element, style.getPropertyValue(name).trim()) || other;
  const ground = get("--jd-ground", "#ffffff");
  const dark = luminance(ground) < 0.4;
  const mixed = dark ? [44, 52, 62] : [226, 232, 238];
  const strong = dark ? [126, 190, 245] : [0, 84, 140];
  return {
    dark,
    ground,
    text: get("--jd-text", dark ? "#eee" : "#111"),
    dim: get("--jd-dim", dark ? "#aaa" : "#666"),
    line: get("--jd-line", dark ? "#444" : "#ddd"),
    accent: get("--jd-accent", dark ? "#6cb6ff" : "#0969da"),
    good: dark ? "#4a5866" : "#c3ced8",
    call: dark ? "#707d89" : "#95a3af",
    unknown: dark ? "#2f363d" : "#e6eaee",
    nan: dark ? "#f0742b" : "#d55e00",
    inf: dark ? "#d58ab5" : "#a8508a",
    phases: dark
      ? { trace: "#7fb3dd", lower: "#4f8fc4", compile: "#2f6ea6" }
      : { trace: "#9ccbee", lower: "#4f9bd1", compile: "#0072b2" },
    ramp: Array.from({ length: RAMP }, (_, i) => mix(mixed, strong, i / (RAMP - 1))),
    change: Array.from({ length: RAMP }, (_, i) =>
      diverge((2 * i) / (RAMP - 1) - 1, dark),
    ),
  };
}

/** What a colour given as another variable, or as a name, is in numbers. */
function resolved(element: HTMLElement, colour: string): string {
  if (!colour) return "";
  const probe = document.createElement("span");
  probe.style.color = colour;
  probe.style.setProperty("forced-color-adjust", "none"); // or each is the text's
  probe.style.display = "none";
  element.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || colour;
}

export function luminance(colour: string): number {
  const hex = /^#(..)(..)(..)$/.exec(colour);
  const parts = hex
    ? hex.slice(1).map((h) => Number.parseInt(h, 16))
    : (colour.match(/[\d.]+/g) ?? ["255", "255", "255"]).map(Number);
  const [r = 255, g = 255, b = 255] = parts;
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

function mix(from: number[], to: number[], t: number): string {
  const parts = from.map((f, i) => Math.round(f + ((to[i] ?? f) - f) * t));
  return `rgb(${parts.join(" ")})`;
}

/** From blue for less, over grey, to ochre for more. */
function diverge(t: number, dark: boolean): string {
  const middle = dark ? [62, 68, 74] : [228, 230, 232];
  const less = dark ? [86, 180, 233] : [0, 104, 170];
  const more = dark ? [230, 175, 60] : [150, 100, 0];
  return mix(middle, t < 0 ? less : more, Math.abs(t));
}

export interface Scale {
  /** The colour of a leaf that is good. */
  colour(leaf: number): string;
  low: string;
  high: string;
  ramp: string[];
}

/** How good leaves are coloured; null where a tree lacks the numbers. */
export function scale(
  tree: Tree,
  paint: Paint,
  kept: number,
  colours: Colours,
): Scale | null {
  if (paint === "badness") return null;
  const value = valueOf(tree, paint, kept);
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
  // Little head-room is what one looks for, so it is the strong end.
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

function valueOf(tree: Tree, paint: Paint, kept: number): Value | null {
  const history = tree.history;
  const at = kept >= 0 ? kept : (history?.calls.length ?? 0) - 1;
  if (paint === "headroom") return (i) => tree.number("headroom", i);
  if (paint === "magnitude") {
    const then = history?.largest[at];
    const now: Value = (i) =>
      then && (kept >= 0 || !tree.known) ? (then[i] ?? NaN) : tree.number("largest", i);
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
  kept: number,
  good: Scale | null,
  colours: Colours,
): string {
  const bad = tree.badness(leaf, kept);
  if (bad !== GOOD) return bad === NAN ? colours.nan : colours.inf;
  if (good) return good.colour(leaf);
  const kind = tree.text("kind", leaf);
  const numbers = kind === "float" || kind === "complex" || !tree.known;
  return numbers ? colours.good : colours.unknown;
}

/**
 * A bad cell: its colour, and a second channel for who does not see it. A large cell
 * bears a letter; a small one is full for NaN, and a lozenge for an infinity.
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
    ctx.fillStyle = colours.dark ? "#111" : "#fff";
    ctx.font = `700 ${Math.round(size * (bad === NAN ? 0.72 : 0.95))}px sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(bad === NAN ? "N" : "∞", x + size / 2, y + size / 2 + 0.5);
    ctx.textAlign = "start";
    ctx.textBaseline = "alphabetic";
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
