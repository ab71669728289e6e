// How bad a value is.

import type { Finding } from "./contract";

/** The worst of several values is the largest number. */
export const GOOD = 0;
export const INF = 1;
export const NAN = 2;
export type Badness = typeof GOOD | typeof INF | typeof NAN;

/** How bad the leaves are that a finding names. */
export function badnessOf(finding: Finding): Badness {
  if (finding.kind === "nan") return NAN;
  return finding.kind === "inf" ? INF : GOOD;
}
