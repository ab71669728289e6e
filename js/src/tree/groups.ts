// The leaves of a tree in groups that a map can show: by module, and by part of the state.

import { type Module, steps } from "./modules";
import type { Tree } from "./tree";

const MAX_GROUPS = 28;
const FEW_GROUPS = 4;

/** A run of leaves with a label. */
export interface Group {
  label: string;
  /** Path of the module, and what part of the training state it is. */
  path: string;
  part: string;
  start: number;
  end: number;
}

/**
 * The leaves in runs, one for each module, at the depth where there are enough runs to
 * compare and not too many to read; a part of the state begins a run of its own.
 */
export function groups(tree: Tree, root: Module, max = MAX_GROUPS): Group[] {
  let best = atDepth(tree, root, root.depth);
  for (let depth = root.depth + 1; ; depth++) {
    const finer = atDepth(tree, root, depth);
    if (finer.length > max) return best.length < FEW_GROUPS ? runs(finer, max) : best;
    best = finer;
    if (!finer.some((g) => g.deeper)) return best;
  }
}

/** Joins neighbours, so that not too many are left: `blocks[0] … [31]`. */
function runs(finer: Cut[], max: number): Cut[] {
  const leaves = finer.reduce((n, g) => n + g.end - g.start, 0);
  const each = leaves / (max / 2);
  const found: { first: Cut; last: Cut }[] = [];
  for (const group of finer) {
    const run = found.at(-1);
    const joins =
      run &&
      run.first.part === group.part &&
      group.end - run.first.start <= each * 1.02;
    if (joins) run.last = group;
    else found.push({ first: group, last: group });
  }
  return found.map(({ first, last }) => {
    if (first === last) return first;
    const path = commonPath(first.path, last.path);
    return { ...first, end: last.end, path, label: span(path, first.path, last.path) };
  });
}

/** `blocks[3…17]`, or `encoder … decoder` where the ends are no numbers. */
function span(common: string, from: string, to: string): string {
  const [a, b] = [from, to].map((p) => steps(p.slice(common.length))[0] ?? "");
  const number = /^\[(\d+)\]$/;
  const [x, y] = [number.exec(a ?? ""), number.exec(b ?? "")];
  if (x && y) return `${common}[${x[1]}…${y[1]}]`;
  return `${common}${a} … ${(b ?? "").replace(/^\./, "")}`;
}

/** The steps that two paths begin with, as a path. */
function commonPath(a: string, b: string): string {
  const others = steps(b);
  let common = "";
  for (const [i, step] of steps(a).entries()) {
    if (others[i] !== step) break;
    common += step;
  }
  return common;
}

interface Cut extends Group {
  deeper: boolean;
}

function atDepth(tree: Tree, root: Module, depth: number): Cut[] {
  const cuts: Cut[] = [];
  const walk = (module: Module): void => {
    if (module.depth >= depth) {
      cuts.push(cut(module, module.start, module.end, module.children.length > 0));
      return;
    }
    let at = module.start;
    for (const child of module.children) {
      if (child.start > at) cuts.push(cut(module, at, child.start, false));
      walk(child);
      at = child.end;
    }
    if (module.end > at) cuts.push(cut(module, at, module.end, false));
  };
  walk(root);
  return cuts.flatMap((c) => byPart(tree, c));
}

function cut(module: Module, start: number, end: number, deeper: boolean): Cut {
  const label = module.path || module.name;
  return { label, path: module.path, part: "", start, end, deeper };
}

/** Splits a run where its leaves stop being of one part of the state. */
function byPart(tree: Tree, run: Cut): Cut[] {
  if (tree.data.group.table.length < 2) {
    return [{ ...run, part: tree.data.group.table[0] ?? "" }];
  }
  const found: Cut[] = [];
  for (let i = run.start; i < run.end; i++) {
    const part = tree.text("group", i);
    const last = found.at(-1);
    if (last && last.part === part) last.end = i + 1;
    else found.push({ ...run, part, start: i, end: i + 1 });
  }
  return found.length > 12 ? [{ ...run, part: "mixed" }] : found;
}
