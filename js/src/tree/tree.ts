// The leaves of a tree, unpacked from columns, and the modules they belong to.

import type {
  Coded,
  Column,
  HistoryData,
  OutputsData,
  PictureData,
  TreeData,
} from "../contract";

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

/** How bad a leaf is; the worst is what a cell of several leaves shows. */
export const GOOD = 0;
export const INF = 1;
export const NAN = 2;
export type Badness = 0 | 1 | 2;

/** A module: a range of leaves with the beginning of their paths in common. */
export interface Module {
  name: string;
  path: string;
  depth: number;
  start: number;
  end: number;
  children: Module[];
}

/** One call of a function: each function counts its own. */
export interface Call {
  function: string;
  number: number;
}

export interface History {
  calls: number[];
  functions: string[];
  largest: Numbers[];
  bad: Numbers[];
  /** How many of these are NaN; empty where that was not kept. */
  nan: Numbers[];
  firstBad: number;
  /** Position of the call in which it went bad; -1 for none. */
  firstBadAt: number;
}

export class Tree {
  readonly name: string;
  readonly paths: string[];
  readonly length: number;
  readonly known: boolean;
  readonly history: History | null;
  private readonly unpacked = new Map<string, Numbers>();
  private readonly failed = new Map<Outputs, Failed | null>();
  private root: Module | null = null;
  private places: Map<string, number> | null = null;

  constructor(
    readonly data: TreeData,
    history: History | null = null,
  ) {
    this.name = data.name;
    this.paths = data.paths;
    this.length = data.paths.length;
    this.known = data.known;
    this.history =
      history ?? (data.history && unpackHistory(data.history, this.length));
  }

  /** A column of numbers, unpacked when it is first asked for. */
  column(name: NumberColumn): Numbers {
    let found = this.unpacked.get(name);
    if (!found) {
      found = unpack(this.data[name], this.length);
      this.unpacked.set(name, found);
    }
    return found;
  }

  number(name: NumberColumn, leaf: number): number {
    return this.column(name)[leaf] ?? NaN;
  }

  text(name: TextColumn, leaf: number): string {
    const coded: Coded = this.data[name];
    if (coded.table.length < 2) return coded.table[0] ?? "";
    let index = this.unpacked.get(name);
    if (!index) {
      index = unpack(coded.index, this.length);
      this.unpacked.set(name, index);
    }
    return coded.table[index[leaf] ?? 0] ?? "";
  }

  /** The leaf with this path, or -1. */
  find(path: string): number {
    this.places ??= new Map([
      ...Object.entries(this.data.also),
      ...this.paths.map((p, i): [string, number] => [p, i]),
    ]);
    return this.places.get(path) ?? -1;
  }

  /** Whether there are statistics of a leaf. */
  knows(_leaf: number): boolean {
    return this.known;
  }

  /** The index of the first bad element of a leaf. */
  firstBad(leaf: number): number[] | undefined {
    return this.data.first_bad[String(leaf)];
  }

  /** The largest magnitude of a leaf, at a kept call or at the end. */
  largestAt(leaf: number, kept: number): number {
    return this.history?.largest[kept]?.[leaf] ?? this.number("largest", leaf);
  }

  /** The tree with what a failing call gave; null where that is no leaf of it. */
  after(outputs: Outputs): Failed | null {
    let made = this.failed.get(outputs);
    if (made === undefined) {
      const places = new Map<number, number>();
      outputs.leaves.paths.forEach((path, given) => {
        const leaf = this.find(path);
        if (leaf >= 0) places.set(leaf, given);
      });
      made = places.size ? new Failed(this, outputs, places) : null;
      this.failed.set(outputs, made);
    }
    return made;
  }

  /** How bad a leaf is now, or at a kept call of the history. */
  badness(leaf: number, kept = -1): Badness {
    return this.history?.bad[kept] ? this.past(leaf, kept) : this.last(leaf);
  }

  protected last(leaf: number): Badness {
    if (this.number("nan", leaf) > 0) return NAN;
    if (this.number("posinf", leaf) + this.number("neginf", leaf) > 0) return INF;
    // Where nobody has looked at the tree itself, its history tells.
    return this.known ? GOOD : this.past(leaf, (this.history?.calls.length ?? 0) - 1);
  }

  private past(leaf: number, kept: number): Badness {
    const history = this.history;
    if (!((history?.bad[kept]?.[leaf] ?? 0) > 0)) return GOOD;
    const nan = history?.nan[kept];
    return nan && !((nan[leaf] ?? 0) > 0) ? INF : NAN;
  }

  /** The leaves that are bad, in the order of the tree. */
  bad(kept = -1): number[] {
    const found: number[] = [];
    for (let i = 0; i < this.length; i++) if (this.badness(i, kept)) found.push(i);
    return found;
  }

  modules(): Module {
    return (this.root ??= modulesOf(this.name, this.paths));
  }

  /** The position in the history of a call, or of the last one before it. */
  keptAt(call: Call | null): number {
    const history = this.history;
    if (call === null || !history?.calls.length) return -1;
    let kept = 0;
    history.calls.forEach((number, i) => {
      if (history.functions[i] === call.function && number <= call.number) kept = i;
    });
    return kept;
  }

  /** The call at a position in the history. */
  callAt(kept: number): Call | null {
    const number = this.history?.calls[kept];
    const name = this.history?.functions[kept];
    return number === undefined || name === undefined ? null : { function: name, number };
  }
}

/** What a failing call gave: its bad leaves, and pictures of some of them. */
export class Outputs {
  readonly finding: number;
  readonly leaves: Tree;
  private readonly pictures: Map<string, PictureData>;

  constructor(data: OutputsData) {
    this.finding = data.finding;
    this.leaves = new Tree(data.leaves);
    this.pictures = new Map(data.pictures.map((p) => [p.path, p]));
  }

  /** The picture of a leaf, by its number among the bad ones. */
  picture(leaf: number): PictureData | undefined {
    return this.pictures.get(this.leaves.paths[leaf] ?? "");
  }
}

/**
 * A tree as a failing call gave it: its bad leaves are those of the call, which nothing
 * holds now; the others are as they are, since what was good is not kept.
 */
export class Failed extends Tree {
  private readonly over = new Map<string, Numbers>();

  constructor(
    readonly now: Tree,
    readonly outputs: Outputs,
    private readonly given: Map<number, number>,
  ) {
    super(now.data, now.history);
  }

  /** The number of a leaf among the bad ones; -1 for a leaf that was good. */
  place(leaf: number): number {
    return this.given.get(leaf) ?? -1;
  }

  override column(name: NumberColumn): Numbers {
    let found = this.over.get(name);
    if (!found) {
      found = Float64Array.from(this.now.column(name));
      const numbers = this.outputs.leaves.column(name);
      for (const [leaf, at] of this.given) (found as Float64Array)[leaf] = numbers[at] ?? NaN;
      this.over.set(name, found);
    }
    return found;
  }

  override text(name: TextColumn, leaf: number): string {
    const at = this.place(leaf);
    const now = this.now.text(name, leaf);
    return at < 0 || (now && name === "group") ? now : this.outputs.leaves.text(name, at);
  }

  override find(path: string): number {
    return this.now.find(path);
  }

  override modules(): Module {
    return this.now.modules();
  }

  override knows(leaf: number): boolean {
    return this.known || this.given.has(leaf);
  }

  override firstBad(leaf: number): number[] | undefined {
    const at = this.place(leaf);
    return at < 0 ? this.now.firstBad(leaf) : this.outputs.leaves.firstBad(at);
  }

  override largestAt(leaf: number, kept: number): number {
    if (this.given.has(leaf)) return this.number("largest", leaf);
    return this.now.largestAt(leaf, kept);
  }

  /** It is shown for its call alone, so there is no other to ask for. */
  override badness(leaf: number): Badness {
    return this.given.has(leaf) ? this.last(leaf) : this.now.badness(leaf);
  }
}

export type NumberColumn = {
  [K in keyof TreeData]: TreeData[K] extends Column ? K : never;
}[keyof TreeData];
export type TextColumn = {
  [K in keyof TreeData]: TreeData[K] extends Coded ? K : never;
}[keyof TreeData];

function unpackHistory(data: HistoryData, length: number): History {
  const bad = data.bad.map((c) => unpack(c, length));
  const firstBad = data.first_bad;
  return {
    calls: data.calls,
    functions: data.functions,
    largest: data.largest.map((c) => unpack(c, length)),
    bad,
    nan: data.nan.map((c) => unpack(c, length)),
    firstBad,
    firstBadAt: firstBad < 0 ? -1 : bad.findIndex((call) => (call[firstBad] ?? 0) > 0),
  };
}

/** The steps of a path: `model.a['x.y'][0]` is model, .a, ['x.y'], [0]. */
export function steps(path: string): string[] {
  const found: string[] = [];
  let start = 0;
  let quote = "";
  let brackets = 0; // `f(...)` is one step
  for (let i = 0; i < path.length; i++) {
    const c = path[i] as string;
    if (quote) {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (c === "'" || c === '"') quote = c;
    else if (c === "(") brackets++;
    else if (c === ")") brackets--;
    else if (brackets) continue;
    else if ((c === "." || c === "[") && i > start) {
      found.push(path.slice(start, i));
      start = i;
    }
  }
  found.push(path.slice(start));
  return found;
}

/** The modules of leaves that are in the order of the tree. */
export function modulesOf(name: string, paths: string[]): Module {
  const root: Module = {
    name,
    path: "",
    depth: 0,
    start: 0,
    end: paths.length,
    children: [],
  };
  let open: Module[] = [root];
  let before = "";
  let ends: number[] = []; // of the steps to the open modules, in the path before
  paths.forEach((path, leaf) => {
    // What two paths begin with is not taken apart again.
    const most = Math.min(path.length, before.length);
    let same = 0;
    while (same < most && path.charCodeAt(same) === before.charCodeAt(same)) same++;
    let depth = 0;
    while (depth < ends.length && (ends[depth] as number) < same) depth++;
    ends = ends.slice(0, depth);
    let end = ends[depth - 1] ?? 0;
    for (const step of steps(path.slice(end)).slice(0, -1)) {
      const parent = open[depth] as Module;
      depth++;
      ends.push((end += step.length));
      if (open[depth]?.name === step) continue;
      open = open.slice(0, depth);
      const child: Module = {
        name: step,
        path: parent.path + step,
        depth,
        start: leaf,
        end: leaf,
        children: [],
      };
      parent.children.push(child);
      open.push(child);
    }
    open = open.slice(0, depth + 1);
    for (const module of open) module.end = leaf + 1;
    before = path;
  });
  return root;
}

/** A path without the beginning that a module already tells. */
export function below(path: string, module: string): string {
  const rest = path.startsWith(module) ? path.slice(module.length) : path;
  return rest.replace(/^\./, "") || path;
}
