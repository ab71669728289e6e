// A button that copies a text.

import { useState } from "preact/hooks";
import { copyText } from "./clipboard";

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
