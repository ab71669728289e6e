// The keys of the panel, and of a list of rows.

import type { Store } from "./store/store";
import type { Layout } from "./store/view";

interface Key {
  key: string;
  hint: string;
  act(store: Store, root: HTMLElement | null): void;
}

const OF_TREES: readonly Key[] = [
  { key: "]", hint: "next bad leaf", act: (store) => store.navigate.toNextBad(1) },
  { key: "[", hint: "previous one", act: (store) => store.navigate.toNextBad(-1) },
  {
    key: "/",
    hint: "search",
    act: (_, root) => root?.querySelector<HTMLInputElement>(".jd-search")?.focus(),
  },
  layout("m", "map"),
  layout("i", "icicle"),
  layout("t", "table"),
];

const TOGGLE: Key = {
  key: "g",
  hint: "the tree as the failed call returned it, or as it is now",
  act: (store) => store.navigate.toggleNow(),
};

const HELP: Key = {
  key: "?",
  hint: "keys and words",
  act: (store) => void (store.view.help.value = !store.view.help.value),
};

const OF_TIME: readonly Pick<Key, "key" | "hint">[] = [
  { key: "← →", hint: "compilations" },
  { key: "+ − 0", hint: "zoom, all" },
];

function layout(key: string, name: Layout): Key {
  return { key, hint: name, act: (store) => void (store.view.layout.value = name) };
}

/** What the keys do that are of use now. */
export function hints(store: Store): Pick<Key, "key" | "hint">[] {
  const keys = store.shown.trees.value.length ? [...OF_TREES] : [];
  if (store.shown.comparable.value) keys.push(TOGGLE);
  return [...(keys.length ? keys : OF_TIME), HELP];
}

/** All keys. */
export const ALL: readonly Pick<Key, "key" | "hint">[] = [...OF_TREES, TOGGLE, ...OF_TIME, HELP];

export function onPanelKey(event: KeyboardEvent, store: Store, root: HTMLElement | null): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (act(event, store, root)) event.preventDefault();
  // The notebook has its own commands for these keys.
  event.stopPropagation();
}

function act(event: KeyboardEvent, store: Store, root: HTMLElement | null): boolean {
  if (event.key === "Escape") {
    store.view.query.value = "";
    store.view.help.value = false;
    root?.focus();
    return true;
  }
  const { target } = event;
  if (target instanceof HTMLInputElement && target.type === "search") {
    if (event.key === "Enter") store.navigate.toNextFound();
    return event.key === "Enter";
  }
  const found = [...OF_TREES, TOGGLE, HELP].find(({ key }) => key === event.key);
  found?.act(store, root);
  return found !== undefined;
}

/** Enter and the space bar select; arrows go to the neighbours. */
export function onRowKey(event: KeyboardEvent, select: () => void): void {
  const row = event.currentTarget as HTMLElement;
  const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[
    event.key
  ];
  if (event.key === "Enter" || event.key === " ") select();
  else if (to instanceof HTMLElement) to.focus();
  else return;
  event.preventDefault();
}
