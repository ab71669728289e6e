// A sign for each kind of bad value: colour is never the only channel.

import { type Badness, badnessOf, INF, NAN } from "./badness";
import type { Finding } from "./contract";

const SIGNS: Record<string, string> = { traces: "↻", compiles: "↻" };

/** The sign of a finding. */
export function FindingGlyph({ finding }: { finding: Finding }) {
  const bad = badnessOf(finding);
  const name = bad === NAN ? "jd-nan" : bad === INF ? "jd-inf" : "jd-other";
  const sign = bad === NAN ? "N" : bad === INF ? "∞" : SIGNS[finding.kind];
  return (
    <span class={`jd-glyph ${name}`} aria-hidden="true">
      {sign ?? "!"}
    </span>
  );
}

/** The sign of a bad leaf; none for a good one. */
export function LeafGlyph({ bad }: { bad: Badness }) {
  if (bad === NAN) return <i class="jd-glyph jd-nan">N</i>;
  if (bad === INF) return <i class="jd-glyph jd-inf">∞</i>;
  return null;
}
