// The details of what is selected: a finding, a leaf, or a compilation.

import { FindingDetails } from "./findings/finding";
import type { Store } from "./store/store";
import { CompilationDetails } from "./timeline/compilation";
import { LeafDetails } from "./tree/leaf";

export function Details({ store, theme }: { store: Store; theme: number }) {
  const subject = store.selection.subject.value;
  const finding = subject?.kind === "finding" && store.data.findings.value[subject.index];
  return (
    <div class="jd-details" role="group" aria-label="Details">
      {finding && <FindingDetails store={store} finding={finding} />}
      {subject?.kind === "leaf" && store.selection.leaf.value >= 0 && (
        <LeafDetails store={store} theme={theme} />
      )}
      {subject?.kind === "compilation" && (
        <CompilationDetails store={store} index={subject.index} />
      )}
      {!subject && <Hint store={store} />}
    </div>
  );
}

function Hint({ store }: { store: Store }) {
  const watched = store.shown.trees.value.length > 0;
  return (
    <div class="jd-empty">
      {watched ? "Select a leaf: its numbers and its elements come here." : ""}
    </div>
  );
}
