// A button that copies the Python expression of a leaf or of an element.

import { useState } from "preact/hooks";
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

export function Copy({ text, copied }: { text: string; copied?: string | undefined }) {
  const [done, setDone] = useState(false);
  const copy = (): void => {
    void copyText(copied ?? text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1200);
    });
  };
  return (
    <button type="button" class="jd-copy" title={`copy ${copied ?? text}`} onClick={copy}>
      {done ? "copied" : "copy"}
    </button>
  );
}

/** The clipboard of a page without https is the old one. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
