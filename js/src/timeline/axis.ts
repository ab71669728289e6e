// The axis of the timeline. A notebook is idle for hours between two cells, and on an axis
// of hours no bar is visible: long gaps between cells are folded.

import type { Cell, Finding } from "../contract";
import type { Calls } from "./calls";

/** A stretch of time that is narrow on the axis. */
export interface Fold {
  from: number;
  to: number;
  /** Whether jaxdbg searches for an origin then; else nothing runs. */
  search?: boolean;
}

/** The width of a folded gap, and of all together, as shares of the time in cells. */
const FOLDED = 0.05;
const ALL_FOLDED = 0.25;

/** The gaps between cells that are longer than a cell takes, on an average. */
export function folds(cells: readonly Cell[]): Fold[] {
  const busy = cells.reduce((sum, c) => sum + c.end - c.start, 0);
  const found: Fold[] = [];
  let end = -Infinity;
  for (const cell of [...cells].sort((a, b) => a.start - b.start)) {
    if (cell.start - end > Math.max(busy / cells.length, 0.01) && end > 0) {
      found.push({ from: end, to: cell.start });
    }
    end = Math.max(end, cell.end);
  }
  return found;
}

/** The searches for origins that are longer than a tenth of all that ran beside them. */
export function searches(
  findings: readonly Finding[],
  cells: readonly Cell[],
  calls: Calls | null,
): Fold[] {
  const found: Fold[] = [];
  for (const { function: name, call: number, time } of findings) {
    const from = calls?.end({ function: name, number });
    if (typeof from === "number" && time > from) found.push({ from, to: time, search: true });
  }
  const ran = lengthOf(cells.map(({ start, end }) => ({ from: start, to: end }))) - lengthOf(found);
  return found.filter((f) => f.to - f.from > Math.max(ran, 0.01) * 0.1);
}

export function lengthOf(folds: readonly Fold[]): number {
  return folds.reduce((sum, f) => sum + f.to - f.from, 0);
}

/** From seconds since the epoch to seconds on the axis, and back. */
export class Axis {
  private readonly folded: number;

  constructor(readonly folds: readonly Fold[], busy: number) {
    this.folded = Math.max(Math.min(FOLDED, ALL_FOLDED / folds.length) * busy, 0.001);
  }

  shown(time: number): number {
    let shown = time;
    for (const { from, to } of this.folds) {
      if (time <= from) break;
      const inside = Math.min(time, to) - from;
      shown -= inside * (1 - this.folded / (to - from));
    }
    return shown;
  }

  real(shown: number): number {
    let time = shown;
    for (const { from, to } of this.folds) {
      const start = this.shown(from);
      if (shown <= start) break;
      const inside = Math.min(shown - start, this.folded);
      time += inside * ((to - from) / this.folded - 1);
    }
    return time;
  }
}
