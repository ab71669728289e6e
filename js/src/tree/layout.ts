// Where the cells of a map go. Pure functions, in CSS pixels.

import { type Module, steps } from "./modules";
import type { Tree } from "./tree";

/** A run of leaves with a label. */
export interface Group {
  label: string;
  /** Path of the module, and what part of the training state it is. */
  path: string;
  part: string;
  start: number;
  end: number;
}

/** A group with its place: cells flow from (x, y), `perRow` in a row. */
export interface Block extends Group {
  x: number;
  y: number;
  perRow: number;
  rows: number;
  labelX: number;
  labelWidth: number;
}

/** A heading over the blocks of one part: params, batch stats, ... */
export interface Heading {
  text: string;
  x: number;
  y: number;
}

export interface Waffle {
  blocks: Block[];
  headings: Heading[];
  /** Side of a cell with its gap, and the gap. */
  pitch: number;
  /** From a cell to the next in its row: more than the pitch where names are between them. */
  stride: number;
  gap: number;
  /** How many leaves, one after the other, share a cell. */
  share: number;
  width: number;
  height: number;
}

const MAX_GROUPS = 28;
const FEW_GROUPS = 4;
const PITCHES = [20, 17, 14, 12, 10, 8, 7, 6, 5, 4];
const LABEL = 132;
const MOST_NAMED = 80;
const LINE = 16;
const HEADING = 20;

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

/**
 * Places the groups in a width, in about a height; cells share when they must.
 * Names of this many characters have space beside the cells, where they fit.
 */
export function waffle(
  all: Group[],
  width: number,
  height: number,
  names = Infinity,
): Waffle {
  const leaves = all.reduce((n, g) => n + g.end - g.start, 0);
  if (leaves <= MOST_NAMED && names <= 24) {
    const named = place(all, width, 20, 1, 1, 20 + 14 + names * 6.7);
    if (named.height <= height) return named;
  }
  const pitch = PITCHES.at(-1) as number;
  // In a narrow panel the labels alone may need more.
  const enough = Math.max(height, place(all, width, pitch, columnsIn(width), leaves).height);
  for (const pitch of PITCHES) {
    for (let columns = 1; columns <= columnsIn(width); columns++) {
      const found = place(all, width, pitch, columns, 1);
      if (found.height <= enough) return found;
    }
  }
  const perRow = Math.max(1, Math.floor((width - LABEL) / pitch));
  // The labels alone need some height.
  const most = Math.max(height, place(all, width, pitch, 1, leaves).height) * 1.1;
  let share = Math.max(1, Math.floor(leaves / (perRow * (most / pitch))));
  for (; ; share = Math.ceil(share * 1.15)) {
    const found = place(all, width, pitch, 1, share);
    if (found.height <= most) return found;
  }
}

function columnsIn(width: number): number {
  return Math.max(1, Math.min(4, Math.floor(width / 230)));
}

function place(
  all: Group[],
  width: number,
  pitch: number,
  columns: number,
  share: number,
  stride = pitch,
): Waffle {
  const gap = pitch > 7 ? 2 : pitch > 4 ? 1 : 0.5;
  const columnWidth = width / columns;
  const perRow = Math.max(1, Math.floor((columnWidth - LABEL - 14) / stride));
  const headings: Heading[] = [];
  const blocks: Block[] = [];
  const parts = partition(all);
  let top = 4; // for the outline of a cell
  for (const { part, members } of parts) {
    if (parts.length > 1) {
      const count = members.reduce((n, g) => n + g.end - g.start, 0);
      headings.push({ text: `${part} · ${count.toLocaleString("en")}`, x: 0, y: top });
      top += HEADING;
    }
    top = flow(members, blocks, { top, columns, columnWidth, perRow, pitch, share });
  }
  return { blocks, headings, pitch, stride, gap, share, width, height: top };
}

interface Flow {
  top: number;
  columns: number;
  columnWidth: number;
  perRow: number;
  pitch: number;
  share: number;
}

/** Fills columns from top to bottom; returns where the longest one ends. */
function flow(members: Group[], blocks: Block[], how: Flow): number {
  const heights = members.map((g) => {
    const cells = Math.ceil((g.end - g.start) / how.share);
    return Math.max(LINE, Math.ceil(cells / how.perRow) * how.pitch) + 4;
  });
  const each = heights.reduce((a, b) => a + b, 0) / how.columns;
  let column = 0;
  let y = how.top;
  let lowest = how.top;
  members.forEach((group, i) => {
    const next = heights[i] as number;
    const full = y - how.top + next / 2 > each && y > how.top;
    if (full && column < how.columns - 1) {
      column++;
      y = how.top;
    }
    const x = column * how.columnWidth;
    const cells = Math.ceil((group.end - group.start) / how.share);
    blocks.push({
      ...group,
      x: x + LABEL,
      y,
      perRow: how.perRow,
      rows: Math.ceil(cells / how.perRow),
      labelX: x,
      labelWidth: LABEL - 10,
    });
    y += next;
    lowest = Math.max(lowest, y);
  });
  return lowest;
}

function partition(all: Group[]): { part: string; members: Group[] }[] {
  const found = new Map<string, Group[]>();
  for (const group of all) {
    const members = found.get(group.part);
    if (members) members.push(group);
    else found.set(group.part, [group]);
  }
  return [...found].map(([part, members]) => ({ part, members }));
}

/** The leaves [from, to) of the cell at a point; null where there is none. */
export function leavesAt(
  map: Waffle,
  x: number,
  y: number,
): { from: number; to: number; block: Block } | null {
  for (const block of map.blocks) {
    const row = Math.floor((y - block.y) / map.pitch);
    const column = Math.floor((x - block.x) / map.stride);
    if (row < 0 || row >= block.rows || column < 0 || column >= block.perRow) continue;
    const from = block.start + (row * block.perRow + column) * map.share;
    if (from >= block.end) continue;
    return { from, to: Math.min(from + map.share, block.end), block };
  }
  return null;
}

/** The corner of the cell that shows a leaf. */
export function cellOf(map: Waffle, leaf: number): { x: number; y: number } | null {
  const block = map.blocks.find((b) => leaf >= b.start && leaf < b.end);
  if (!block) return null;
  const cell = Math.floor((leaf - block.start) / map.share);
  return {
    x: block.x + (cell % block.perRow) * map.stride,
    y: block.y + Math.floor(cell / block.perRow) * map.pitch,
  };
}

/** A module as a rectangle of the icicle: level by level downwards. */
export interface Slab {
  module: Module;
  x: number;
  y: number;
  width: number;
  height: number;
}

const SLAB = 22;

/** The modules below a root, each as wide as it has leaves; the leaves are at `y`. */
export function icicle(
  root: Module,
  width: number,
  maxHeight: number,
): { slabs: Slab[]; leaves: { x: number; width: number; y: number }; height: number } {
  const depth = Math.min(depthOf(root), Math.max(1, Math.floor(maxHeight / SLAB) - 1));
  const scale = width / Math.max(1, root.end - root.start);
  const slabs: Slab[] = [];
  const walk = (module: Module, level: number): void => {
    const x = (module.start - root.start) * scale;
    const w = (module.end - module.start) * scale;
    if (level >= depth || w < 0.7) return;
    slabs.push({ module, x, y: level * SLAB, width: w, height: SLAB });
    for (const child of module.children) walk(child, level + 1);
  };
  walk(root, 0);
  const y = depth * SLAB;
  return { slabs, leaves: { x: 0, width, y }, height: y + SLAB * 1.6 };
}

function depthOf(module: Module): number {
  return 1 + module.children.reduce((d, c) => Math.max(d, depthOf(c)), 0);
}
