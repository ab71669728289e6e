// A small line for each leaf over the calls: the bad ones first, in the order they went
// bad, then those that grew most.

import { useMemo } from "preact/hooks";
import { GOOD } from "../badness";
import { SmallSpark } from "../spark";
import type { Store } from "../store/store";
import { fitted, segments } from "./labels";
import type { Tree } from "./tree";

const MOST = 8;
/** How many characters a name has at most. */
const LONGEST = 27;

export function Lines({ store }: { store: Store }) {
  const tree = store.shown.tree.value;
  const calls = store.shown.recordedCalls.value;
  const leaves = useMemo(() => (tree && calls.length > 2 ? mostNotable(tree) : []), [tree, calls]);
  const history = tree?.history;
  if (!tree || !history || !leaves.length) return null;
  return (
    <div class="jd-lines" role="group" aria-label="Largest magnitude over the calls">
      {leaves.map((leaf) => (
        <button
          key={leaf}
          type="button"
          class={`jd-small ${leaf === store.selection.leaf.value ? "jd-here" : ""}`}
          title={tree.paths[leaf]}
          onClick={() => store.navigate.toLeaf(leaf)}
        >
          <code>{fitted(segments(tree.paths[leaf] ?? "", "", tree.name), LONGEST)}</code>
          <SmallSpark
            values={history.largest.map((call) => call[leaf] ?? NaN)}
            bad={(i) => (history.bad[i]?.[leaf] ?? 0) > 0}
            at={store.shown.snapshot.value}
          />
        </button>
      ))}
    </div>
  );
}

/** The leaves whose lines are most worth a look. */
export function mostNotable(tree: Tree): number[] {
  const history = tree.history;
  if (!history) return [];
  const since = (leaf: number): number => {
    const at = history.bad.findIndex((call) => (call[leaf] ?? 0) > 0);
    return at >= 0 ? at : tree.badness(leaf) === GOOD ? Infinity : history.bad.length;
  };
  const grown = (leaf: number): number => {
    const values = history.largest.map((call) => call[leaf] ?? NaN).filter((v) => v > 0);
    return values.length > 1 ? (values.at(-1) ?? 1) / (values[0] ?? 1) : 0;
  };
  const all = Array.from({ length: tree.length }, (_, leaf) => ({
    leaf,
    since: since(leaf),
    grown: grown(leaf),
  })).filter((l) => l.grown > 0 || l.since < Infinity);
  all.sort((a, b) => compare(a.since, b.since) || b.grown - a.grown || a.leaf - b.leaf);
  return all.slice(0, MOST).map((l) => l.leaf);
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
