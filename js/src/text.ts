// Numbers and places as a person reads them.

import type { Real, Report, SourceFrame } from "./contract";

/** A number with four digits: 0.001234, 1.20e−9. No 12.3k, which hides digits. */
export function number(value: Real | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) {
    return value.toExponential(2).replace("e+", "e").replace("-", "−");
  }
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function some(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}

/** `1 leaf`, `12 leaves`. */
export function leaves(n: number): string {
  return `${count(n)} ${n === 1 ? "leaf" : "leaves"}`;
}

export function bytes(value: number): string {
  if (!(value >= 0)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(value: number): string {
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toPrecision(value < 0.0995 ? 2 : 3)} ms`;
  if (value < 120) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** `3 of 6 calls were not checked`; empty where all were. */
export function unchecked(report: Report): string {
  const left = Object.values(report.unchecked).reduce((n, calls) => n + calls, 0);
  const calls = some(report.calls + report.eager_ops, "call");
  if (left) return `${count(left)} of ${calls} ${left === 1 ? "was" : "were"} not checked`;
  return Object.keys(report.unchecked).length ? "not everything was checked" : "";
}

export function place(frame: SourceFrame): string {
  if (frame.cell !== null) return `cell ${frame.cell}, line ${frame.line}`;
  return `${frame.file.split("/").slice(-2).join("/")}:${frame.line}`;
}

export function element(path: string, index: readonly number[]): string {
  return index.length ? `${path}[${index.join(", ")}]` : path;
}
