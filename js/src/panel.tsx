// The whole panel, and its keys.

import { useLayoutEffect } from "preact/hooks";
import type { Store, View } from "./store";
import { applyTheme } from "./theme";
import { useTheme, useWidth } from "./canvas";
import { Details } from "./details";
import { Findings } from "./findings/findings";
import { Header } from "./header";
import { Trees } from "./tree/trees";
import { Timeline } from "./timeline/timeline";

export function Panel({ store }: { store: Store }) {
  const [root, width] = useWidth();
  const theme = useTheme();
  useLayoutEffect(() => {
    if (root.current) applyTheme(root.current);
  }, [theme, width]); // before it has a width it is in no page, and has no theme
  const calls = store.ran.value?.length ?? 0;
  const timed = store.compilations.value.length > 0 || calls > 1;
  const seen = store.trees.value.length > 0 || store.subject.value !== null;
  return (
    <div
      ref={root}
      class="jd-panel jd-live"
      role="region"
      aria-label="jaxdbg panel"
      tabIndex={0}
      data-lm-suppress-shortcuts="true"
      onKeyDown={(event) => onKey(event, store, root.current)}
    >
      <Header store={store} />
      <Findings store={store} />
      {(seen || !timed) && (
        <div class="jd-main">
          <Trees store={store} theme={theme} />
          <Details store={store} theme={theme} />
        </div>
      )}
      {timed && <Timeline store={store} theme={theme} />}
      <Keys store={store} />
    </div>
  );
}

const VIEW_KEYS: Record<string, View> = { m: "map", i: "icicle", t: "table" };

function onKey(event: KeyboardEvent, store: Store, root: HTMLElement | null): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target instanceof HTMLInputElement;
  const text = typing && (event.target as HTMLInputElement).type === "search";
  if (act(event.key, text, store, root)) {
    event.preventDefault();
  }
  // What is pressed here is not for the notebook.
  event.stopPropagation();
}

function act(key: string, text: boolean, store: Store, root: HTMLElement | null) {
  if (key === "Escape") {
    store.query.value = "";
    root?.focus();
    return true;
  }
  if (text) {
    if (key === "Enter") store.nextFound();
    return key === "Enter";
  }
  if (key === "]") store.nextBad(1);
  else if (key === "[") store.nextBad(-1);
  else if (key === "/") root?.querySelector<HTMLInputElement>(".jd-search")?.focus();
  else if (key === "g") store.turn();
  else if (VIEW_KEYS[key]) store.view.value = VIEW_KEYS[key];
  else return false;
  return true;
}

const OF_TREES: readonly [string, string][] = [
  ["]", "next bad leaf"],
  ["[", "previous"],
  ["/", "search"],
  ["m", "map"],
  ["i", "icicle"],
  ["t", "table"],
];

function Keys({ store }: { store: Store }) {
  const keys: [string, string][] = store.trees.value.length ? [...OF_TREES] : [];
  if (store.comparable.value) keys.push(["g", "as the failed call gave it, or as it is"]);
  if (!keys.length) keys.push(["← →", "compilations"], ["+ − 0", "zoom, all"]);
  return (
    <div class="jd-keys">
      {keys.map(([key, what]) => (
        <span key={key}>
          <kbd>{key}</kbd> {what}
        </span>
      ))}
    </div>
  );
}
