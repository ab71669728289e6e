// A leaf in words.

import { bytes, count, number } from "../text";
import type { Tree } from "./tree";

/** What the pointer on a leaf shows. */
export function leafTip(tree: Tree, leaf: number): string[] {
  const lines = [tree.paths[leaf] ?? ""];
  if (!tree.knows(leaf)) return lines;
  const dtype = tree.text("dtype", leaf);
  const shape = tree.text("shape", leaf);
  lines.push(
    [tree.text("group", leaf), `${dtype}[${shape}]`, bytes(tree.number("nbytes", leaf))]
      .filter(Boolean)
      .join(" · "),
  );
  const bad = badCounts(tree, leaf);
  if (bad) lines.push(bad);
  const largest = tree.number("largest", leaf);
  if (!Number.isNaN(largest)) lines.push(`largest |x| ${number(largest)}`);
  return lines;
}

/** `3 NaN, 1 Inf of 4,096`; empty for a good leaf. */
export function badCounts(tree: Tree, leaf: number): string {
  const kinds: [string, number][] = [
    ["NaN", tree.number("nan", leaf)],
    ["Inf", tree.number("posinf", leaf)],
    ["−Inf", tree.number("neginf", leaf)],
  ];
  const found = kinds.filter(([, n]) => n > 0).map(([name, n]) => `${count(n)} ${name}`);
  if (!found.length) return "";
  return `${found.join(", ")} of ${count(tree.number("size", leaf))}`;
}
