// Search of leaves by path.

import type { Tree } from "./tree";

/** The leaves whose paths contain every word of a query; null for an empty query. */
export function matches(tree: Tree, query: string): number[] | null {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const found: number[] = [];
  tree.paths.forEach((path, i) => {
    const text = path.toLowerCase();
    if (words.every((w) => text.includes(w))) found.push(i);
  });
  return found;
}
