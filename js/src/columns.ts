// Numbers as they are sent: one column for all leaves or calls, packed where it is long.

import type { Column } from "./contract";

export type Numbers = ArrayLike<number>;

/** The numbers of a column; NaN where there is none. */
export function unpack(column: Column, length: number): Numbers {
  if ("same" in column) {
    const all = new Float64Array(length).fill(column.same ?? NaN);
    for (const i in column.but) all[+i] = column.but[i] ?? NaN;
    return all;
  }
  if ("list" in column) return Float64Array.from(column.list, (v) => v ?? NaN);
  const f32 = "f32" in column;
  const text = atob(f32 ? column.f32 : column.f64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return f32 ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}
