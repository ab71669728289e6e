// One row of the table.

import { LeafGlyph } from "../glyph";
import type { Store } from "../store/store";
import { bytes, count, number } from "../text";
import type { Row } from "./rows";
import type { Tree } from "./tree";

interface LineProps {
  row: Row;
  id: number;
  tree: Tree;
  snapshot: number;
  store: Store;
  cursor: boolean;
  badBelow: number;
  onPick: () => void;
}

export function RowLine({ row, id, tree, snapshot, store, cursor, badBelow, onPick }: LineProps) {
  const selected = row.leaf >= 0 && row.leaf === store.selection.leaf.value;
  const indent = { paddingLeft: `${6 + (row.level - 1) * 14}px` };
  return (
    <div
      id={`jd-row-${id}`}
      class={`jd-row ${selected ? "jd-here" : ""} ${cursor ? "jd-cursor" : ""}`}
      role="treeitem"
      aria-level={row.level}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      aria-selected={selected}
      aria-expanded={row.module ? row.open : undefined}
      onClick={onPick}
    >
      <span class="jd-name" style={indent}>
        {row.module && (
          <span class="jd-twist" aria-hidden="true">
            {row.open ? "▾" : "▸"}
          </span>
        )}
        {row.leaf >= 0 && <LeafGlyph bad={tree.badness(row.leaf, snapshot)} />}
        {row.name}
        {row.module && (
          <small>
            {" "}
            {count(row.module.end - row.module.start)}
            {badBelow > 0 && <b class="jd-badge">{count(badBelow)} bad below</b>}
          </small>
        )}
      </span>
      {row.leaf >= 0 && <Numbers tree={tree} leaf={row.leaf} snapshot={snapshot} />}
    </div>
  );
}

function Numbers({ tree, leaf, snapshot }: { tree: Tree; leaf: number; snapshot: number }) {
  const bad =
    tree.number("nan", leaf) + tree.number("posinf", leaf) + tree.number("neginf", leaf);
  const headroom = tree.number("headroom", leaf);
  return (
    <>
      <span>
        {tree.text("dtype", leaf)}
        {tree.text("shape", leaf) && `[${tree.text("shape", leaf)}]`}
      </span>
      <span>{tree.knows(leaf) ? bytes(tree.number("nbytes", leaf)) : ""}</span>
      <span>{bad > 0 ? count(bad) : ""}</span>
      <span>{number(tree.largestAt(leaf, snapshot))}</span>
      <span>{Number.isNaN(headroom) ? "–" : `${headroom.toFixed(0)} bits`}</span>
    </>
  );
}
