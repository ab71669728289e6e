// The colours of the panel, for the style sheet and for the canvases.
//
// Each of them is in jaxdbg/views/colours.json, once. The ground, the text and mixtures of
// the two follow the host: style.css defines them.

import palette from "../../jaxdbg/views/colours.json";

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
  /** Of the sign on a cell that is NaN or infinite. */
  onBad: string;
  phases: Record<string, string>;
  /** From small to large magnitudes, and from less to more. */
  ramp: string[];
  change: string[];
}

/** How many colours a ramp has. */
export const RAMP = 24;

/** The colours of an element's theme. */
export function coloursOf(element: HTMLElement): Colours {
  const dark = isDark(element);
  const own = dark ? palette.dark : palette.light;
  const scales = dark ? palette.scales.dark : palette.scales.light;
  const { trace, lower, compile } = own;
  return {
    dark,
    ground: hostColour(element, "ground") || "Canvas",
    text: hostColour(element, "text") || "CanvasText",
    dim: hostColour(element, "dim") || "GrayText",
    line: hostColour(element, "line") || "GrayText",
    ...own,
    onBad: own["on-bad"],
    phases: { trace, lower, compile },
    ramp: ramp(scales.magnitude),
    change: ramp(scales.change),
  };
}

/** Writes the variables that style.css uses, for the theme of the element. */
export function applyTheme(element: HTMLElement): void {
  const dark = isDark(element);
  element.dataset.jdDark = String(dark);
  for (const [name, colour] of Object.entries(dark ? palette.dark : palette.light)) {
    element.style.setProperty(`--jd-${name}`, colour);
  }
}

function isDark(element: HTMLElement): boolean {
  return luminance(hostColour(element, "ground")) < 0.4;
}

/** A colour that style.css defines, in numbers: its variable may name another one. */
function hostColour(element: HTMLElement, name: string): string {
  const colour = getComputedStyle(element).getPropertyValue(`--jd-${name}`).trim();
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

/** From 0 to 1; 1 for a colour that is not in numbers. */
export function luminance(colour: string): number {
  const [r = 255, g = 255, b = 255] = numbersOf(colour);
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}

function numbersOf(colour: string): number[] {
  const hex = /^#(..)(..)(..)$/.exec(colour);
  if (hex) return hex.slice(1).map((h) => Number.parseInt(h, 16));
  return (colour.match(/[\d.]+/g) ?? []).map(Number);
}

/** Colours at even distances from the first stop to the last. */
function ramp(stops: readonly string[]): string[] {
  const parts = stops.map(numbersOf);
  return Array.from({ length: RAMP }, (_, i) => {
    const at = (i / (RAMP - 1)) * (parts.length - 1);
    const left = Math.min(Math.floor(at), parts.length - 2);
    return mix(parts[left] ?? [], parts[left + 1] ?? [], at - left);
  });
}

function mix(from: readonly number[], to: readonly number[], t: number): string {
  const parts = from.map((f, i) => Math.round(f + ((to[i] ?? f) - f) * t));
  return `rgb(${parts.join(" ")})`;
}
