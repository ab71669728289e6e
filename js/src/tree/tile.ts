// A tile: the elements of a leaf in rows and columns of cells.

import { unpack } from "../columns";
import type { TileAnswer } from "../contract";
import { number } from "../text";

/** The range of elements that a cell of a tile shows. */
export function windowAt(answer: TileAnswer, cell: number): [number, number][] {
  const [down, across] = answer.axes;
  const row = Math.floor(cell / answer.columns);
  const column = cell % answer.columns;
  return answer.window.map(([from, to], axis) => {
    if (axis === down && down >= 0) return part(from, to, row, answer.step[0]);
    if (axis === across && across >= 0) return part(from, to, column, answer.step[1]);
    return [from, to];
  });
}

/** Cell `i` of those that take `each` elements of a range. */
function part(from: number, to: number, i: number, each: number): [number, number] {
  return [from + i * each, Math.min(from + (i + 1) * each, to)];
}

export function isElement(window: [number, number][]): boolean {
  return window.every(([from, to]) => to - from <= 1);
}

/** The window to zoom to: at least 24 elements a side around the cell. */
export function around(answer: TileAnswer, cell: [number, number][]): [number, number][] {
  return cell.map(([from, to], axis) => {
    if (!answer.axes.includes(axis)) return [from, to];
    const size = answer.shape[axis] ?? 1;
    const spare = Math.max(0, 24 - (to - from));
    const start = Math.max(0, Math.min(from - Math.floor(spare / 2), size - 24));
    return [start, Math.min(size, Math.max(to, start + 24))];
  });
}

export function expression(
  path: string,
  window: readonly (readonly [number, number])[],
  shape: readonly number[],
): string {
  const whole = window.every(([from, to], i) => from === 0 && to === shape[i]);
  if (whole && window.some(([from, to]) => to - from > 1)) return path;
  const parts = window.map(([from, to], i) => {
    if (to - from === 1) return String(from);
    return from === 0 && to === shape[i] ? ":" : `${from}:${to}`;
  });
  while (parts.at(-1) === ":") parts.pop();
  return parts.length ? `${path}[${parts.join(", ")}]` : path;
}

/** What is known of the elements of a cell. */
export function summary(answer: TileAnswer, cell: number): string {
  const cells = answer.rows * answer.columns;
  const one = isElement(windowAt(answer, cell));
  const bad = ["", "Inf", "NaN"][unpack(answer.worst, cells)[cell] ?? 0];
  if (bad) return one ? `is ${bad}` : `holds ${bad}`;
  const largest = unpack(answer.largest, cells)[cell] ?? NaN;
  return `${one ? "is |x| =" : "holds |x| up to"} ${number(largest)}`;
}

/** What the pointer on a cell shows. */
export function cellTip(path: string, answer: TileAnswer, cell: number | null): string[] {
  if (cell === null) return [];
  const window = windowAt(answer, cell);
  return [
    expression(path, window, answer.shape),
    answer.values[cell] ?? summary(answer, cell),
  ];
}
