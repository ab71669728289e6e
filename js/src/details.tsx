// What is selected, told in full: a finding, a leaf, or a compilation.

import type { Store } from "./store";
import { CompilationDetails } from "./timeline/compilation";
import { LeafDetails } from "./tree/leaf";
import { Story } from "./findings/story";

export function Details({ store, theme }: { store: Store; theme: number }) {
  const subject = store.subject.value;
  return (
    <div class="jd-details" role="group" aria-label="Details">
      {subject?.kind === "finding" && <FindingDetails store={store} index={subject.index} theme={theme} />}
      {subject?.kind === "leaf" && store.leaf.value >= 0 && (
        <LeafDetails store={store} theme={theme} />
      )}
      {subject?.kind === "compilation" && (
        <CompilationDetails store={store} index={subject.index} />
      )}
      {!subject && <Hint store={store} />}
    </div>
  );
}

function FindingDetails(props: { store: Store; index: number; theme: number }) {
  const finding = props.store.findings.value[props.index];
  if (!finding) return null;
  return <Story store={props.store} finding={finding} />;
}

function Hint({ store }: { store: Store }) {
  const watched = store.trees.value.length > 0;
  return (
    <div class="jd-empty">
      {watched ? "Select a leaf: its numbers and its elements come here." : ""}
    </div>
  );
}
