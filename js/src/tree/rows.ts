// The rows of the table.

import { below, type Module } from "./modules";
import type { Tree } from "./tree";

export interface Row {
  module: Module | null;
  leaf: number;
  level: number;
  /** Position among its siblings, from 1, and how many they are. */
  position: number;
  siblings: number;
  name: string;
  open: boolean;
}

/** The rows of a tree in which these modules are open. */
export function rowsOf(tree: Tree, root: Module, isOpen: (m: Module) => boolean): Row[] {
  const rows: Row[] = [];
  const walk = (module: Module, level: number): void => {
    const items: (Module | number)[] = [];
    let at = module.start;
    for (const child of module.children) {
      for (; at < child.start; at++) items.push(at);
      items.push(child);
      at = child.end;
    }
    for (; at < module.end; at++) items.push(at);
    items.forEach((item, i) => {
      const place = { level, position: i + 1, siblings: items.length };
      if (typeof item === "number") {
        const name = below(tree.paths[item] ?? "", module.path);
        rows.push({ ...place, module: null, leaf: item, name, open: false });
        return;
      }
      const open = isOpen(item);
      const name = item.name.replace(/^\./, "");
      rows.push({ ...place, module: item, leaf: -1, name, open });
      if (open) walk(item, level + 1);
    });
  };
  walk(root, 1);
  return rows;
}

export function foundRow(tree: Tree, leaf: number, n: number, of: number): Row {
  const name = tree.paths[leaf] ?? "";
  return { module: null, leaf, level: 1, position: n + 1, siblings: of, name, open: false };
}

/** Whether a module has one of the first bad leaves, and so opens by itself. */
export function firstsIn(bad: number[]): (m: Module) => boolean {
  const firsts = bad.slice(0, 20);
  return (m) => firsts.some((i) => i >= m.start && i < m.end);
}

/** How many of the sorted numbers lie in the range of a module. */
export function within(bad: number[], module: Module): number {
  return lowest(bad, module.end) - lowest(bad, module.start);
}

function lowest(sorted: number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function parentOf(rows: Row[], at: number): number {
  const level = rows[at]?.level ?? 1;
  for (let i = at - 1; i >= 0; i--) if ((rows[i]?.level ?? 0) < level) return i;
  return at;
}

/** What a key does on a row: goes to another row, opens or closes it, selects its leaf. */
export type RowAction = { go: number } | { open: boolean } | { select: number };

const PAGE = 12;

export function actionOf(key: string, rows: Row[], at: number): RowAction | null {
  const row = rows[at];
  if (!row) return null;
  const { module, open } = row;
  switch (key) {
    case "ArrowDown":
      return { go: Math.min(at + 1, rows.length - 1) };
    case "ArrowUp":
      return { go: Math.max(at - 1, 0) };
    case "Home":
      return { go: 0 };
    case "End":
      return { go: rows.length - 1 };
    case "PageDown":
      return { go: Math.min(at + PAGE, rows.length - 1) };
    case "PageUp":
      return { go: Math.max(at - PAGE, 0) };
    case "ArrowRight":
      return module && !open ? { open: true } : { go: Math.min(at + 1, rows.length - 1) };
    case "ArrowLeft":
      return module && open ? { open: false } : { go: parentOf(rows, at) };
    case "Enter":
    case " ":
      return module ? { open: !open } : { select: row.leaf };
    default:
      return null;
  }
}
