// One finding: what is wrong, where it comes from, which leaves it has reached.

import type { Finding } from "../contract";
import { Copy } from "../copy";
import { FindingGlyph } from "../glyph";
import { Section } from "../section";
import type { Store } from "../store/store";
import { count, headline, leaves } from "../text";
import { OriginDetails } from "./origin";

export function FindingDetails({ store, finding }: { store: Store; finding: Finding }) {
  const { origin } = finding;
  return (
    <div class="jd-story">
      <h3>
        <FindingGlyph finding={finding} /> {headline(finding)}
      </h3>
      {origin ? (
        <OriginDetails store={store} finding={finding} origin={origin} />
      ) : (
        <pre class="jd-message">{afterFirstLine(finding.message)}</pre>
      )}
      <Meant finding={finding} />
      <ReachedLeaves store={store} finding={finding} />
    </div>
  );
}

/** The comment that lets the value be, to be copied onto its line. */
function Meant({ finding }: { finding: Finding }) {
  if (!finding.allow) return null;
  return (
    <Section title="Meant?">
      <p>
        <code>{finding.allow}</code> on {finding.allow_at} <Copy text={finding.allow} />
      </p>
    </Section>
  );
}

function afterFirstLine(message: string): string {
  return message.split("\n").slice(1).join("\n").replace(/^\n+/, "");
}

function ReachedLeaves({ store, finding }: { store: Store; finding: Finding }) {
  const reached = finding.origin?.reached ?? [];
  const all = reached.length
    ? reached.map((r) => ({ path: r.path, what: `${count(r.bad)} of ${count(r.size)}` }))
    : finding.paths.map((path) => ({ path, what: "" }));
  if (!all.length) return null;
  return (
    <Section title={`Reached ${leaves(all.length)}`}>
      <ul class="jd-leaves">
        {all.slice(0, 40).map(({ path, what }) => (
          <li key={path}>
            <LeafLink store={store} path={path} /> <small>{what}</small>
          </li>
        ))}
        {all.length > 40 && <li>and {count(all.length - 40)} more</li>}
      </ul>
    </Section>
  );
}

function LeafLink({ store, path }: { store: Store; path: string }) {
  const known = store.shown.trees.value.some((t) => t.find(path) >= 0);
  if (!known) return <code>{path}</code>;
  const go = (): void => {
    store.navigate.toPath(path);
    store.navigate.toLeaf(store.selection.leaf.value);
  };
  return (
    <button type="button" class="jd-link" onClick={go}>
      <code>{path}</code>
    </button>
  );
}
