// The whole panel.

import { useLayoutEffect } from "preact/hooks";
import { useTheme, useWidth } from "./canvas";
import { Details } from "./details";
import { Findings } from "./findings/findings";
import { Header } from "./header";
import { Help } from "./help";
import { hints, onPanelKey } from "./keyboard";
import type { Store } from "./store/store";
import { applyTheme } from "./theme";
import { Timeline } from "./timeline/timeline";
import { Trees } from "./tree/trees";

export function Panel({ store }: { store: Store }) {
  const [root, width] = useWidth();
  const theme = useTheme();
  useLayoutEffect(() => {
    if (root.current) applyTheme(root.current);
  }, [theme, width]); // before it has a width it is in no page, and has no theme
  const calls = store.data.calls.value?.length ?? 0;
  const timed = store.data.compilations.value.length > 0 || calls > 1;
  const seen = store.shown.trees.value.length > 0 || store.selection.subject.value !== null;
  return (
    <div
      ref={root}
      class="jd-panel jd-live"
      role="region"
      aria-label="jaxdbg panel"
      tabIndex={0}
      data-lm-suppress-shortcuts="true"
      onKeyDown={(event) => onPanelKey(event, store, root.current)}
    >
      <Header store={store} />
      <Help store={store} />
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

function Keys({ store }: { store: Store }) {
  return (
    <div class="jd-keys">
      {hints(store).map(({ key, hint }) => (
        <span key={key}>
          <kbd>{key}</kbd> {hint}
        </span>
      ))}
    </div>
  );
}
