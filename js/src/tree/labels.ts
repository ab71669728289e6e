// The names of modules as labels: steps, of which the middle ones give way first.

import { steps } from "./modules";

const BETWEEN = " › ";
const LEFT_OUT = "…";

/**
 * The steps of a label as words: `.a` is a, `["a"]` is a, and an index goes with the
 * step before it. Those that all labels begin with are dropped, and the tree's own name.
 */
export function segments(label: string, common: string, tree: string): string[] {
  const [from = "", to] = label.split(` ${LEFT_OUT} `);
  const shared = common ? steps(common).length : steps(from)[0] === tree ? 1 : 0;
  const all = steps(from);
  const own = all.slice(Math.min(shared, all.length - 1));
  const found: string[] = [];
  for (const step of own) {
    const word = wordOf(step);
    if (step.startsWith("[") && !/^\[["']/.test(step) && found.length) found.push(`${found.pop()}${word}`);
    else found.push(word);
  }
  // A run from one module to another.
  if (to) found.push(`${found.pop()} ${LEFT_OUT} ${wordOf(steps(to).at(-1) ?? "")}`);
  return found;
}

function wordOf(step: string): string {
  return /^\[["'](.*)["']\]$/.exec(step)?.[1] ?? step.replace(/^\./, "");
}

/** The segments as one text of at most so many characters: cut between two of them. */
export function fitted(parts: readonly string[], most: number): string {
  const whole = parts.join(BETWEEN);
  if (whole.length <= most) return whole;
  const last = parts.at(-1) ?? "";
  // The last one is the most specific, then the first.
  for (let kept = parts.length - 2; kept > 0; kept--) {
    const text = [...parts.slice(0, kept), LEFT_OUT, last].join(BETWEEN);
    if (text.length <= most) return text;
  }
  const short = parts.length > 1 ? `${LEFT_OUT}${BETWEEN}${last}` : last;
  if (short.length <= most) return short;
  return last.length <= most ? last : `${last.slice(0, most - 1)}${LEFT_OUT}`;
}
