// The trees: which one, in which layout, coloured by what, after which call.

import type { Store } from "../store/store";
import type { Layout, Paint } from "../store/view";
import { count, leaves } from "../text";
import { Icicle } from "./icicle";
import { Lines } from "./lines";
import { TreeMap } from "./map";
import { Table } from "./table";
import type { Tree } from "./tree";

const VIEWS: [Layout, string][] = [
  ["map", "Map"],
  ["icicle", "Icicle"],
  ["table", "Table"],
];
const PAINTS: [Paint, string][] = [
  ["badness", "finite or not"],
  ["magnitude", "magnitude"],
  ["headroom", "head-room"],
  ["change", "change"],
];

export function Trees({ store, theme }: { store: Store; theme: number }) {
  const tree = store.shown.tree.value;
  if (!tree) {
    return (
      <div class="jd-trees">
        <div class="jd-empty">
          No tree is watched. <code>jaxdbg.show(model)</code> shows one.
        </div>
      </div>
    );
  }
  const view = store.view.layout.value;
  return (
    <div class="jd-trees">
      <div class="jd-bar">
        <Tabs store={store} />
        <span class="jd-space" />
        <Search store={store} />
      </div>
      <div class="jd-bar">
        <div class="jd-switch" role="group" aria-label="View">
          {VIEWS.map(([key, name]) => (
            <button
              key={key}
              type="button"
              aria-pressed={view === key}
              onClick={() => (store.view.layout.value = key)}
            >
              {name}
            </button>
          ))}
        </div>
        <Way store={store} />
        <span class="jd-space" />
        <BadLeaves store={store} />
        <Colouring store={store} />
      </div>
      <NowSwitch store={store} />
      {view === "map" && <TreeMap store={store} theme={theme} />}
      {view === "icicle" && <Icicle store={store} theme={theme} />}
      {view === "table" && <Table store={store} />}
      <Slider store={store} />
      <Lines store={store} />
    </div>
  );
}

/** The tree as the failing call returned it, or as it is now. */
function NowSwitch({ store }: { store: Store }) {
  const finding = store.shown.comparable.value;
  if (!finding) return null;
  const now = !store.shown.failed.value;
  const at = store.selection.call.value;
  const bad = store.shown.bad.value.length;
  const then = store.shown.snapshot.value >= 0 && at && `after call ${count(at.number)}`;
  return (
    <div class="jd-bar jd-moment">
      <div class="jd-switch" role="group" aria-label="Shown is" title="g">
        {[`what call ${count(finding.call)} gave`, "as it is now"].map((name, i) => (
          <button type="button" aria-pressed={now === !!i} onClick={() => now === !!i || store.navigate.toggleNow()}>
            {name}
          </button>
        ))}
      </div>
      <small role="status">
        {now && (then || (!bad && "its last good values"))}
        {!now && `${leaves(bad)} bad in call ${count(finding.call)} of ${finding.function}`}
      </small>
    </div>
  );
}

/** The parts of a tree in a few words: params, batch stats · 16. */
export function parts(tree: Tree): string {
  const { table } = tree.data.group;
  const known = table.filter(Boolean);
  if (known.length === 0) return leaves(tree.length);
  if (known.length === 1) return `${known[0]} · ${count(tree.length)}`;
  return `${known.slice(0, 3).join(", ")}${known.length > 3 ? ", …" : ""} · ${count(tree.length)}`;
}

function Tabs({ store }: { store: Store }) {
  const trees = store.shown.trees.value;
  return (
    <div class="jd-tabs" role="group" aria-label="Tree">
      {trees.map((tree, i) => {
        const bad = tree.bad().length;
        return (
          <button
            key={i}
            type="button"
            class="jd-tab"
            aria-pressed={i === store.selection.tree.value}
            onClick={() => store.navigate.toTree(i)}
          >
            <code>{tree.name}</code>
            <small>{parts(tree)}</small>
            {bad > 0 && <span class="jd-badge">{count(bad)} bad</span>}
          </button>
        );
      })}
    </div>
  );
}

function Search({ store }: { store: Store }) {
  const found = store.shown.found.value;
  return (
    <label class="jd-searching">
      <input
        class="jd-search"
        type="search"
        placeholder="search paths"
        aria-label="Search leaves by path"
        value={store.view.query.value}
        onInput={(e) => (store.view.query.value = e.currentTarget.value)}
      />
      {found && <small role="status">{count(found.length)} found</small>}
    </label>
  );
}

/** The modules around the one that is shown, as a way back. */
function Way({ store }: { store: Store }) {
  if (!store.selection.scope.value) return null;
  return (
    <span class="jd-way">
      <button type="button" onClick={() => (store.selection.scope.value = null)}>
        {store.shown.tree.value?.name}
      </button>
      <span> › </span>
      <code>{store.selection.scope.value.label}</code>
    </span>
  );
}

function BadLeaves({ store }: { store: Store }) {
  const bad = store.shown.bad.value;
  if (!bad.length) return null;
  const at = bad.indexOf(store.selection.leaf.value);
  return (
    <span class="jd-step">
      <button
        type="button"
        aria-label="Previous bad leaf"
        title="previous bad leaf  ["
        onClick={() => store.navigate.toNextBad(-1)}
      >
        ‹
      </button>
      <small>
        {at >= 0 ? `${count(at + 1)} of ` : ""}
        {count(bad.length)} bad
      </small>
      <button
        type="button"
        aria-label="Next bad leaf"
        title="next bad leaf  ]"
        onClick={() => store.navigate.toNextBad(1)}
      >
        ›
      </button>
    </span>
  );
}

function Colouring({ store }: { store: Store }) {
  const tree = store.shown.tree.value;
  const lacks = (paint: Paint): boolean =>
    (paint === "headroom" && !tree?.known) || (paint === "change" && !tree?.history);
  return (
    <select
      class="jd-select"
      aria-label="Colour by"
      value={store.view.paint.value}
      onChange={(e) => (store.view.paint.value = e.currentTarget.value as Paint)}
    >
      {PAINTS.map(([key, name]) => (
        <option key={key} value={key} disabled={lacks(key)}>
          {name}
        </option>
      ))}
    </select>
  );
}

function Slider({ store }: { store: Store }) {
  const history = store.shown.tree.value?.history;
  const calls = store.shown.recordedCalls.value;
  if (!history || calls.length < 2) return null;
  const last = calls.length - 1;
  const at = store.shown.snapshot.value < 0 ? last : store.shown.snapshot.value;
  const first = history.firstBadAt;
  return (
    <div class="jd-slider">
      <span class="jd-slider-track">
        <input
          type="range"
          min={0}
          max={last}
          value={at}
          aria-label="Call"
          aria-valuetext={`call ${calls[at]} of ${history.functions[at] ?? ""}`}
          onInput={(e) => goToCall(store, Number(e.currentTarget.value))}
        />
        {first >= 0 && (
          <span
            class="jd-slider-mark"
            style={{ left: `calc(8px + (100% - 16px) * ${first / last})` }}
            aria-hidden="true"
          />
        )}
      </span>
      <small>
        {store.selection.now.value ? (
          <b>now</b>
        ) : (
          <>
            call <b>{count(calls[at] ?? 0)}</b> {history.functions[at]}
          </>
        )}
      </small>
      {first >= 0 && (
        <button type="button" class="jd-link" onClick={() => goToFirst(store)}>
          first bad: call {count(calls[first] ?? 0)}
        </button>
      )}
    </div>
  );
}

function goToCall(store: Store, snapshot: number): void {
  store.navigate.toCall(store.shown.tree.value?.callOf(snapshot) ?? null);
}

function goToFirst(store: Store): void {
  const history = store.shown.tree.value?.history;
  if (!history) return;
  goToCall(store, history.firstBadAt);
  if (history.firstBad >= 0) store.navigate.toLeaf(history.firstBad);
}
