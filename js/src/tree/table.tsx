// The leaves as a tree of rows, of which only the visible ones are in the page: the map for
// the keyboard and for a screen reader.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { LeafGlyph } from "../glyph";
import type { Store } from "../store/store";
import { bytes, count, number } from "../text";
import type { Module } from "./modules";
import { firstsIn, foundRow, parentOf, type Row, rowsOf, within } from "./rows";
import type { Tree } from "./tree";

export const ROW = 22;
const HEIGHT = 286;
const SPARE = 6;

export function Table({ store }: { store: Store }) {
  const tree = store.shown.tree.value as Tree;
  const root = store.shown.root.value as Module;
  const snapshot = store.shown.snapshot.value;
  const bad = store.shown.bad.value;
  const found = store.shown.found.value;
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [cursor, setCursor] = useState(0);
  const [top, setTop] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const leaf = store.selection.leaf.value;
  const rows = useMemo(() => {
    if (found) return found.map((i, n) => foundRow(tree, i, n, found.length));
    const first = firstsIn(bad);
    const isOpen = (m: Module): boolean =>
      toggled.get(m.path) ??
      (m.depth <= 1 || first(m) || (leaf >= m.start && leaf < m.end) || tree.length < 60);
    return rowsOf(tree, root, isOpen);
  }, [tree, root, toggled, found, bad, leaf]);
  const show = (index: number): void => {
    const element = scroller.current;
    if (!element) return;
    const y = index * ROW;
    const visible = HEIGHT - 2 * ROW;
    const next = Math.max(y - visible, Math.min(y, element.scrollTop));
    setTop(next);
    // The spacers must have their new height before one can scroll there.
    requestAnimationFrame(() => {
      element.scrollTop = next;
    });
  };
  useLayoutEffect(() => {
    const index = rows.findIndex((r) => r.leaf === leaf && leaf >= 0);
    if (index >= 0) {
      setCursor(index);
      show(index);
    }
  }, [leaf, rows]);
  const toggle = (row: Row, open: boolean): void => {
    if (!row.module) return;
    setToggled(new Map(toggled).set(row.module.path, open));
  };
  const from = Math.max(0, Math.floor(top / ROW) - SPARE);
  const to = Math.min(rows.length, Math.ceil((top + HEIGHT) / ROW) + SPARE);
  const here = Math.min(cursor, rows.length - 1);
  const onKey = (event: KeyboardEvent): void => {
    const row = rows[here];
    if (!row) return;
    let next = here;
    switch (event.key) {
      case "ArrowDown":
        next = Math.min(here + 1, rows.length - 1);
        break;
      case "ArrowUp":
        next = Math.max(here - 1, 0);
        break;
      case "Home":
        next = 0;
        break;
      case "End":
        next = rows.length - 1;
        break;
      case "PageDown":
        next = Math.min(here + 12, rows.length - 1);
        break;
      case "PageUp":
        next = Math.max(here - 12, 0);
        break;
      case "ArrowRight":
        if (row.module && !row.open) toggle(row, true);
        else next = Math.min(here + 1, rows.length - 1);
        break;
      case "ArrowLeft":
        if (row.module && row.open) toggle(row, false);
        else next = parentOf(rows, here);
        break;
      case "Enter":
      case " ":
        if (row.module) toggle(row, !row.open);
        else store.navigate.toLeaf(row.leaf);
        break;
      default:
        return;
    }
    event.preventDefault();
    event.stopPropagation();
    setCursor(next);
    show(next);
  };
  return (
    <div class="jd-table">
      <div class="jd-row jd-table-head" aria-hidden="true">
        <span>leaf</span>
        <span>type</span>
        <span>bytes</span>
        <span>NaN, Inf</span>
        <span>largest |x|</span>
        <span>head-room</span>
      </div>
      <div
        ref={scroller}
        class="jd-rows"
        role="tree"
        aria-label={`Leaves of ${tree.name}`}
        tabIndex={0}
        aria-activedescendant={rows.length ? `jd-row-${here}` : undefined}
        style={{ maxHeight: `${HEIGHT}px` }}
        onScroll={(e) => setTop(e.currentTarget.scrollTop)}
        onKeyDown={onKey}
      >
        <div role="presentation" style={{ height: `${from * ROW}px` }} />
        {rows.slice(from, to).map((row, i) => (
          <RowLine
            key={from + i}
            {...{ row, tree, snapshot, store }}
            id={from + i}
            cursor={from + i === here}
            badBelow={row.module ? within(bad, row.module) : 0}
            onPick={() => {
              setCursor(from + i);
              if (row.module) toggle(row, !row.open);
              else store.navigate.toLeaf(row.leaf);
            }}
          />
        ))}
        <div role="presentation" style={{ height: `${(rows.length - to) * ROW}px` }} />
      </div>
    </div>
  );
}

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

function RowLine({ row, id, tree, snapshot, store, cursor, badBelow, onPick }: LineProps) {
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
