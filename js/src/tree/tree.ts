// The leaves of a tree, unpacked from columns, and their history.

import { type Badness, GOOD, INF, NAN } from "../badness";
import type { Call } from "../call";
import { type Numbers, unpack } from "../columns";
import type { Coded, Column, HistoryData, TreeData } from "../contract";
import { type Module, modulesOf } from "./modules";

export type NumberColumn = {
  [K in keyof TreeData]: TreeData[K] extends Column ? K : never;
}[keyof TreeData];
export type TextColumn = {
  [K in keyof TreeData]: TreeData[K] extends Coded ? K : never;
}[keyof TreeData];

/** A snapshot of the leaves after each recorded call. */
export interface History {
  calls: number[];
  functions: string[];
  largest: Numbers[];
  bad: Numbers[];
  /** How many of these are NaN; empty where that was not recorded. */
  nan: Numbers[];
  firstBad: number;
  /** The snapshot in which it is bad first; -1 for none. */
  firstBadAt: number;
}

/** A snapshot is a position in the history; -1 is the tree as it is now. */
export class Tree {
  readonly name: string;
  readonly paths: string[];
  readonly length: number;
  readonly known: boolean;
  readonly history: History | null;
  private readonly unpacked = new Map<string, Numbers>();
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

  /** A column of numbers, unpacked at its first use. */
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

  /** The largest magnitude of a leaf. */
  largestAt(leaf: number, snapshot: number): number {
    return this.history?.largest[snapshot]?.[leaf] ?? this.number("largest", leaf);
  }

  badness(leaf: number, snapshot = -1): Badness {
    return this.history?.bad[snapshot] ? this.past(leaf, snapshot) : this.last(leaf);
  }

  protected last(leaf: number): Badness {
    if (this.number("nan", leaf) > 0) return NAN;
    if (this.number("posinf", leaf) + this.number("neginf", leaf) > 0) return INF;
    // Without statistics of the tree itself, the last snapshot is what is known.
    return this.known ? GOOD : this.past(leaf, (this.history?.calls.length ?? 0) - 1);
  }

  private past(leaf: number, snapshot: number): Badness {
    const history = this.history;
    if (!((history?.bad[snapshot]?.[leaf] ?? 0) > 0)) return GOOD;
    const nan = history?.nan[snapshot];
    return nan && !((nan[leaf] ?? 0) > 0) ? INF : NAN;
  }

  /** The worst of the leaves [from, to). */
  worst(from: number, to: number, snapshot: number): Badness {
    let worst: Badness = GOOD;
    for (let i = from; i < to; i++) {
      const bad = this.badness(i, snapshot);
      if (bad > worst) worst = bad;
    }
    return worst;
  }

  /** The leaves that are bad, in the order of the tree. */
  bad(snapshot = -1): number[] {
    const found: number[] = [];
    for (let i = 0; i < this.length; i++) if (this.badness(i, snapshot)) found.push(i);
    return found;
  }

  modules(): Module {
    return (this.root ??= modulesOf(this.name, this.paths));
  }

  /** The snapshot of a call, or of the last recorded one before it. */
  snapshotOf(call: Call | null): number {
    const history = this.history;
    if (call === null || !history?.calls.length) return -1;
    let snapshot = 0;
    history.calls.forEach((number, i) => {
      if (history.functions[i] === call.function && number <= call.number) snapshot = i;
    });
    return snapshot;
  }

  /** The call of a snapshot. */
  callOf(snapshot: number): Call | null {
    const number = this.history?.calls[snapshot];
    const name = this.history?.functions[snapshot];
    return number === undefined || name === undefined ? null : { function: name, number };
  }
}

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
