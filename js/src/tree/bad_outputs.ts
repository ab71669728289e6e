// The bad outputs of a failing call, and a tree with them in place.

import type { Badness } from "../badness";
import type { Numbers } from "../columns";
import type { OutputsData, PictureData } from "../contract";
import type { Module } from "./modules";
import { type NumberColumn, type TextColumn, Tree } from "./tree";

/** The bad leaves that a failing call returned, and pictures of some of them. */
export class BadOutputs {
  readonly finding: number;
  readonly leaves: Tree;
  private readonly pictures: Map<string, PictureData>;
  private readonly made = new WeakMap<Tree, FailedTree | null>();

  constructor(data: OutputsData) {
    this.finding = data.finding;
    this.leaves = new Tree(data.leaves);
    this.pictures = new Map(data.pictures.map((p) => [p.path, p]));
  }

  /** The picture of a leaf, by its number among the bad ones. */
  picture(leaf: number): PictureData | undefined {
    return this.pictures.get(this.leaves.paths[leaf] ?? "");
  }

  /** A tree with these outputs in place; null where none is a leaf of it. */
  placedIn(tree: Tree): FailedTree | null {
    let failed = this.made.get(tree);
    if (failed === undefined) {
      const places = this.placesIn(tree);
      failed = places.size ? new FailedTree(tree, this, places) : null;
      this.made.set(tree, failed);
    }
    return failed;
  }

  /** By leaf of a tree, the number of its output. */
  private placesIn(tree: Tree): Map<number, number> {
    const places = new Map<number, number>();
    this.leaves.paths.forEach((path, output) => {
      const leaf = tree.find(path);
      if (leaf >= 0) places.set(leaf, output);
    });
    return places;
  }
}

/**
 * A tree as a failing call returned it. Its bad leaves are the outputs of the call; the
 * other leaves are as they are now, since good outputs are not recorded.
 */
export class FailedTree extends Tree {
  private readonly replaced = new Map<string, Numbers>();

  constructor(
    readonly now: Tree,
    readonly outputs: BadOutputs,
    private readonly outputAt: ReadonlyMap<number, number>,
  ) {
    super(now.data, now.history);
  }

  /** The number of a leaf among the bad outputs; -1 for a leaf that was good. */
  outputOf(leaf: number): number {
    return this.outputAt.get(leaf) ?? -1;
  }

  override column(name: NumberColumn): Numbers {
    let found = this.replaced.get(name);
    if (!found) {
      const numbers = Float64Array.from(this.now.column(name));
      const outputs = this.outputs.leaves.column(name);
      for (const [leaf, output] of this.outputAt) numbers[leaf] = outputs[output] ?? NaN;
      this.replaced.set(name, (found = numbers));
    }
    return found;
  }

  override text(name: TextColumn, leaf: number): string {
    const output = this.outputOf(leaf);
    const now = this.now.text(name, leaf);
    if (output < 0 || (now && name === "group")) return now;
    return this.outputs.leaves.text(name, output);
  }

  override find(path: string): number {
    return this.now.find(path);
  }

  override modules(): Module {
    return this.now.modules();
  }

  override knows(leaf: number): boolean {
    return this.known || this.outputAt.has(leaf);
  }

  override firstBad(leaf: number): number[] | undefined {
    const output = this.outputOf(leaf);
    return output < 0 ? this.now.firstBad(leaf) : this.outputs.leaves.firstBad(output);
  }

  override largestAt(leaf: number, snapshot: number): number {
    if (this.outputAt.has(leaf)) return this.number("largest", leaf);
    return this.now.largestAt(leaf, snapshot);
  }

  /** It is of its call alone, so the snapshot says nothing. */
  override badness(leaf: number): Badness {
    return this.outputAt.has(leaf) ? this.last(leaf) : this.now.badness(leaf);
  }
}
