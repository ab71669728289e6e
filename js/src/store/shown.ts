// What is shown: it follows from the data and from the selection.

import { computed } from "@preact/signals";
import { GOOD } from "../badness";
import type { Finding } from "../contract";
import { type BadOutputs, FailedTree } from "../tree/bad_outputs";
import { birthIn } from "../tree/birth";
import { moduleAt } from "../tree/modules";
import { matches } from "../tree/search";
import type { Tree } from "../tree/tree";
import type { Data } from "./data";
import type { Selection } from "./selection";
import type { View } from "./view";

export class Shown {
  constructor(
    private readonly data: Data,
    private readonly selection: Selection,
    private readonly view: View,
  ) {}

  /** The bad outputs of the selected call. */
  private readonly outputs = computed(() =>
    this.selection.now.value ? null : this.data.outputsOf(this.selection.call.value),
  );
  /** The trees as the selected call left them. */
  readonly trees = computed(() =>
    this.data.trees.value.map((tree) => this.withOutputs(tree, this.outputs.value)),
  );
  readonly tree = computed(() => this.trees.value[this.selection.tree.value] ?? null);
  /** The tree, if it is shown as a failing call returned it. */
  readonly failed = computed(() =>
    this.tree.value instanceof FailedTree ? this.tree.value : null,
  );
  /** The position in the history of the tree; -1 for the tree as it is now. */
  readonly snapshot = computed(() =>
    this.selection.now.value
      ? -1
      : (this.tree.value?.snapshotOf(this.selection.call.value) ?? -1),
  );
  readonly bad = computed(() => this.tree.value?.bad(this.snapshot.value) ?? []);
  readonly root = computed(() => {
    const tree = this.tree.value;
    return tree && moduleAt(tree.modules(), this.selection.scope.value);
  });
  /** The leaves that a search has found; null without a search. */
  readonly found = computed(() => {
    const tree = this.tree.value;
    return tree && matches(tree, this.view.query.value);
  });
  readonly recordedCalls = computed(() => this.tree.value?.history?.calls ?? []);
  /** The module in which the value of the selected finding, or the first, was born. */
  readonly birth = computed(() => {
    const story = this.data.stories.value[Math.max(this.selection.finding.value, 0)];
    return birthIn(this.tree.value, story?.module ?? "");
  });
  /** The finding whose bad outputs the tree, as it is now, can be compared with. */
  readonly comparable = computed((): Finding | null => {
    const tree = this.data.trees.value[this.selection.tree.value];
    if (!tree?.known) return null;
    const first = this.data.outputsOf(this.selection.call.value);
    const all = first ? [first, ...this.data.outputs.value] : this.data.outputs.value;
    const found = all.find((outputs) => outputs.placedIn(tree) !== null);
    return (found && this.data.findings.value[found.finding]) ?? null;
  });
  /** Whether the leaf is finite now: the failing call has not written to it. */
  readonly goodNow = computed(() => {
    const tree = this.data.trees.value[this.selection.tree.value];
    return tree?.badness(this.selection.leaf.value) === GOOD;
  });

  /** A tree with the outputs of a call; of any call, where nothing else is known of it. */
  private withOutputs(tree: Tree, outputs: BadOutputs | null): Tree {
    const failed = outputs?.placedIn(tree);
    if (failed || tree.known || tree.history) return failed ?? tree;
    const all = this.data.outputs.value.map((any) => any.placedIn(tree));
    return all.find((any) => any !== null) ?? tree;
  }
}
