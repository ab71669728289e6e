// The details of what is selected: a leaf, or a compilation.

import type { Store } from "./store/store";
import { CompilationDetails } from "./timeline/compilation";
import { LeafDetails } from "./tree/leaf";

export function Details({ store, theme }: { store: Store; theme: number }) {
  const subject = store.selection.subject.value;
  if (!subject) return <Hint store={store} />;
  return (
    <div class="jd-details" role="group" aria-label="Details">
      {subject.kind === "leaf" && store.selection.leaf.value >= 0 && (
        <LeafDetails store={store} theme={theme} />
      )}
      {subject.kind === "compilation" && (
        <CompilationDetails store={store} index={subject.index} />
      )}
    </div>
  );
}

/** None beside a story, which leaves the width to the tree. */
function Hint({ store }: { store: Store }) {
  if (store.selection.finding.value >= 0 || !store.shown.trees.value.length) return null;
  return (
    <div class="jd-details">
      <div class="jd-empty">Select a leaf to see its numbers and its elements.</div>
    </div>
  );
}
