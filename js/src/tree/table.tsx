// The leaves as a tree of rows, of which only the visible ones are in the page: the map for
// the keyboard and for a screen reader.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Store } from "../store/store";
import type { Module } from "./modules";
import { RowLine } from "./row";
import { actionOf, firstsIn, foundRow, type RowAction, rowsOf, within } from "./rows";
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
  const act = (at: number, action: RowAction): void => {
    const path = rows[at]?.module?.path;
    if ("select" in action) store.navigate.toLeaf(action.select);
    else if ("open" in action && path !== undefined) {
      setToggled(new Map(toggled).set(path, action.open));
    }
    setCursor("go" in action ? action.go : at);
  };
  const from = Math.max(0, Math.floor(top / ROW) - SPARE);
  const to = Math.min(rows.length, Math.ceil((top + HEIGHT) / ROW) + SPARE);
  const here = Math.min(cursor, rows.length - 1);
  const pick = (at: number): void => {
    const action = actionOf("Enter", rows, at);
    if (action) act(at, action);
  };
  const onKey = (event: KeyboardEvent): void => {
    const action = actionOf(event.key, rows, here);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    act(here, action);
    show("go" in action ? action.go : here);
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
            onPick={() => pick(from + i)}
          />
        ))}
        <div role="presentation" style={{ height: `${(rows.length - to) * ROW}px` }} />
      </div>
    </div>
  );
}
