// The part of the axis that is shown, in seconds as the axis shows them.

import type { Cell, CompileEvent, Finding } from "../contract";
import { Axis, folds, lengthOf, searches } from "./axis";
import type { Calls } from "./calls";
import { extent } from "./lanes";

export type Range = [from: number, to: number];

/** The axis of the whole timeline, and all of it. */
export function wholeOf(
  events: readonly CompileEvent[],
  findings: readonly Finding[],
  cells: readonly Cell[],
  calls: Calls | null,
): { axis: Axis; range: Range } {
  const edges = cells.flatMap((c) => [c.start, c.end]);
  const [from, to] = extent(events, [...edges, ...findings.map((f) => f.time)]);
  const sought = searches(findings, cells, calls);
  const busy = cells.reduce((sum, c) => sum + c.end - c.start, 0) - lengthOf(sought);
  const all = [...folds(cells), ...sought].sort((a, b) => a.from - b.from);
  const axis = new Axis(all, busy);
  return { axis, range: [axis.shown(from), axis.shown(to)] };
}

/** A range scaled around a moment in it, or around its middle; null for the whole. */
export function scaled(range: Range, by: number, moment: number, whole: Range): Range | null {
  const [from, to] = range;
  const middle = moment > from && moment < to ? moment : (from + to) / 2;
  const next: Range = [middle - (middle - from) * by, middle + (to - middle) * by];
  return next[1] - next[0] < whole[1] - whole[0] ? next : null;
}
