// The Python expression of a leaf or of an element.

import type { Store } from "../store/store";

/** The Python expression of what is shown; and what to copy, where that is more. */
export function expressionOf(store: Store, path: string): { text: string; copied?: string } {
  const source = store.elements.source.value;
  if (!source) return { text: path };
  const { finding, leaves } = source.outputs;
  const known = leaves.paths[source.output] ?? path;
  const first = store.data.findings.value.findIndex((f) => f.paths.includes(known));
  const which = first === finding ? "" : `, ${finding + 1}`;
  const text = `jaxdbg.bad_output(${JSON.stringify(known)}${which})`;
  return { text, copied: `import jaxdbg; ${text}` };
}
