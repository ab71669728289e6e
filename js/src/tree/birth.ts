// The module where a bad value was born, as a run of the leaves of a tree: when all of a
// model is bad, only this module says where to look.

import type { Tree } from "./tree";

/** The leaves [start, end) of a module. */
export interface Birth {
  module: string;
  start: number;
  end: number;
}

/** Null where the module has no leaf of the tree, or all of them. */
export function birthIn(tree: Tree | null, module: string): Birth | null {
  if (!tree || !module) return null;
  const inside = (path: string): boolean =>
    path.startsWith(`${module}.`) || path.startsWith(`${module}[`);
  const start = tree.paths.findIndex(inside);
  const end = tree.paths.findLastIndex(inside) + 1;
  return start < 0 || end - start === tree.length ? null : { module, start, end };
}
