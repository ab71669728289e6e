// The leaves as a tree of rows, of which only the visible ones are in the page: the map for
// the keyboard and for a screen reader.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { LeafGlyph } from "../glyph";
import type { Store } from "../store/store";
import { bytes, count, number } from "../text";
import { below, type Module } from "./modules";
import type { Tree } from "./tree";

export const ROW = 22;
const HEIGHT = 286;
const SPARE = 6;

export interface Row {
  module: Module | null;
  leaf: number;
  level: number;
  /** Position among its siblings, from 1, and how many they are. */
  position: number;
  siblings: number;
  name: string;
  open: boolean;
}

/** The rows of a tree in which these modules are open. */
export function rowsOf(tree: Tree, root: Module, isOpen: (m: Module) => boolean): Row[] {
  const rows: Row[] = [];
  const walk = (module: Module, level: number): void => {
    const items: (Module | number)[] = [];
    let at = module.start;
    for (const child of module.children) {
      for (; at < child.start; at++) items.push(at);
      items.push(child);
      at = child.end;
    }
    for (; at < module.end; at++) items.push(at);
    items.forEach((item, i) => {
      const place = { level, position: i + 1, siblings: items.length };
      if (typeof item === "number") {
        const name = below(tree.paths[item] ?? "", module.path);
        rows.push({ ...place, module: null, leaf: item, name, open: false });
        return;
      }
      const open = isOpen(item);
      const name = item.name.replace(/^\./, "");
      rows.push({ ...place, module: item, leaf: -1, name, open });
      if (open) walk(item, level + 1);
    });
  };
  walk(root, 1);
  return rows;
}

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

function foundRow(tree: Tree, leaf: number, n: number, of: number): Row {
  const name = tree.paths[leaf] ?? "";
  return { module: null, leaf, level: 1, position: n + 1, siblings: of, name, open: false };
}

/** Whether a module has one of the first bad leaves, and so opens by itself. */
function firstsIn(bad: number[]): (m: Module) => boolean {
  const firsts = bad.slice(0, 20);
  return (m) => firsts.some((i) => i >= m.start && i < m.end);
}

/** How many of the sorted numbers lie in the range of a module. */
export function within(bad: number[], module: Module): number {
  return lowest(bad, module.end) - lowest(bad, module.start);
}

function lowest(sorted: number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function parentOf(rows: Row[], at: number): number {
  const level = rows[at]?.level ?? 1;
  for (let i = at - 1; i >= 0; i--) if ((rows[i]?.level ?? 0) < level) return i;
  return at;
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
