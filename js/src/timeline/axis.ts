// Time as the timeline shows it: a notebook is idle for hours between two cells, and on
// an axis of those hours no bar could be seen. So long gaps between cells are folded.

import type { Cell } from "../contract";

/** A stretch of time that takes little room. */
export interface Fold {
  from: number;
  to: number;
}

/** How much of the time in cells a folded gap takes, and all of them together. */
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

/** From seconds since the epoch to seconds on the axis, and back. */
export class Axis {
  private readonly room: number;

  constructor(readonly folds: readonly Fold[], busy: number) {
    this.room = Math.max(Math.min(FOLDED, ALL_FOLDED / folds.length) * busy, 0.001);
  }

  shown(time: number): number {
    let shown = time;
    for (const { from, to } of this.folds) {
      if (time <= from) break;
      const inside = Math.min(time, to) - from;
      shown -= inside * (1 - this.room / (to - from));
    }
    return shown;
  }

  real(shown: number): number {
    let time = shown;
    for (const { from, to } of this.folds) {
      const start = this.shown(from);
      if (shown <= start) break;
      const inside = Math.min(shown - start, this.room);
      time += inside * ((to - from) / this.room - 1);
    }
    return time;
  }
}
