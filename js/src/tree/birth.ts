// The module where a bad value was born, as a run of the leaves of a tree: when all of a
// model is bad, only this module says where to look.

import type { Finding, Origin } from "../contract";
import type { Tree } from "./tree";

/** The leaves [start, end) of a module. */
export interface Birth {
  module: string;
  start: number;
  end: number;
}

/** Null where the module has no leaf of the tree, or all of them. */
export function birthIn(tree: Tree | null, finding: Finding | undefined): Birth | null {
  const module = moduleOf(finding?.origin ?? null);
  if (!tree || !module) return null;
  const inside = (path: string): boolean =>
    path.startsWith(`${module}.`) || path.startsWith(`${module}[`);
  const start = tree.paths.findIndex(inside);
  const end = tree.paths.findLastIndex(inside) + 1;
  return start < 0 || end - start === tree.length ? null : { module, start, end };
}

/** Where an earlier call has made the value, the module in that call. */
function moduleOf(origin: Origin | null): string {
  return origin?.made_at ? moduleOf(origin.made_at) : (origin?.module ?? "");
}
