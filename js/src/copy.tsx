// A button that copies a text.

import { useState } from "preact/hooks";

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
