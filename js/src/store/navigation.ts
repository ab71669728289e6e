// The ways from one selection to another.

import { batch } from "@preact/signals";
import type { Call } from "../call";
import type { Tree } from "../tree/tree";
import type { Data } from "./data";
import type { Selection } from "./selection";
import type { Shown } from "./shown";

/** A tree and a leaf by their names, which new data may have at other positions. */
export interface LeafPath {
  tree: string | undefined;
  leaf: string | undefined;
}

export class Navigation {
  /** How many findings there were. */
  private followed = 0;

  constructor(
    private readonly data: Data,
    private readonly selection: Selection,
    private readonly shown: Shown,
  ) {}

  /** The selected leaf. */
  get selected(): LeafPath {
    const tree = this.shown.tree.value;
    return { tree: tree?.name, leaf: tree?.paths[this.selection.leaf.value] };
  }

  /** Selects the same leaf in new data; the first bad tree where its tree is gone. */
  restore(selected: LeafPath): void {
    const trees = this.data.trees.value;
    const same = trees.findIndex((tree) => tree.name === selected.tree);
    const index = same >= 0 ? same : firstBadTree(trees);
    this.selection.tree.value = index;
    if (selected.leaf === undefined) return;
    this.selection.leaf.value = trees[index]?.find(selected.leaf) ?? -1;
  }

  /** To a new finding, once. */
  toNewFinding(): void {
    const findings = this.data.findings.value;
    const count = findings.length;
    const fresh = findings.findIndex((f, i) => i >= this.followed && f.path !== "");
    if (count > this.followed) this.toFinding(fresh >= 0 ? fresh : this.followed);
    if (count < this.followed) {
      this.selection.finding.value = Math.min(this.selection.finding.value, count - 1);
      this.selection.subject.value = null;
    }
    this.followed = count;
  }

  toFinding(index: number): void {
    const finding = this.data.findings.value[index];
    if (!finding) return;
    const { selection } = this;
    batch(() => {
      selection.finding.value = index;
      selection.subject.value = null;
      selection.now.value = false;
      [finding.path, ...finding.paths].some((path) => path && this.toPath(path));
      selection.call.value = { function: finding.function, number: finding.call };
      const ended = this.data.calls.value?.end(selection.call.value);
      selection.time.value = ended ?? (finding.time || null);
    });
  }

  /** To a leaf by its path, in whichever tree it is; false where it is in none. */
  toPath(path: string): boolean {
    const trees = this.shown.trees.value;
    for (const index of [this.selection.tree.value, ...trees.keys()]) {
      const leaf = trees[index]?.find(path) ?? -1;
      if (leaf < 0) continue;
      batch(() => {
        this.selection.tree.value = index;
        this.focus(leaf);
      });
      return true;
    }
    return false;
  }

  /** To a leaf of the tree, and its details. */
  toLeaf(leaf: number): void {
    batch(() => {
      this.focus(leaf);
      this.selection.subject.value = leaf >= 0 ? { kind: "leaf" } : null;
    });
  }

  /** Selects a leaf, and leaves a scope that it is not in. */
  private focus(leaf: number): void {
    this.selection.leaf.value = leaf;
    const root = this.shown.root.value;
    if (root && (leaf < root.start || leaf >= root.end)) this.selection.scope.value = null;
  }

  toTree(index: number): void {
    const { selection } = this;
    batch(() => {
      selection.tree.value = index;
      selection.scope.value = null;
      this.focus(-1);
      if (selection.subject.value?.kind === "leaf") selection.subject.value = null;
    });
  }

  toCompilation(index: number): void {
    const event = this.data.compilations.value[index];
    if (!event) return;
    batch(() => {
      this.selection.subject.value = { kind: "compilation", index };
      this.selection.time.value = event.start;
    });
  }

  /** To the compilation after the selected one, or before it. */
  toNextCompilation(step: 1 | -1): void {
    const last = this.data.compilations.value.length - 1;
    const subject = this.selection.subject.value;
    const ends = step > 0 ? 0 : last;
    const next = subject?.kind === "compilation" ? subject.index + step : ends;
    this.toCompilation(Math.min(Math.max(next, 0), last));
  }

  toCall(call: Call | null): void {
    batch(() => {
      this.selection.now.value = false;
      this.selection.call.value = call;
      this.selection.time.value = this.data.calls.value?.moment(call) ?? null;
    });
  }

  /** Between the tree as the failing call returned it and as it is now. */
  toggleNow(): void {
    const finding = this.shown.comparable.value;
    if (!finding) return;
    batch(() => {
      this.selection.now.value = this.shown.failed.value !== null;
      this.selection.call.value = { function: finding.function, number: finding.call };
    });
  }

  /** To the next bad leaf in the order of the tree, or the one before; then around. */
  toNextBad(step: 1 | -1): void {
    const all = this.shown.bad.value;
    const at = this.selection.leaf.value;
    const next =
      step > 0
        ? (all.find((i) => i > at) ?? all[0])
        : (all.findLast((i) => i < at) ?? all.at(-1));
    if (next !== undefined) this.toLeaf(next);
  }

  /** To the next leaf that the search has found; then around. */
  toNextFound(): void {
    const all = this.shown.found.value ?? [];
    const next = all.find((i) => i > this.selection.leaf.value) ?? all[0];
    if (next !== undefined) this.toLeaf(next);
  }
}

function firstBadTree(trees: readonly Tree[]): number {
  return Math.max(trees.findIndex((tree) => tree.bad().length > 0), 0);
}
