// A place in the source, as a link: to its cell, where the page has it.

import { useState } from "preact/hooks";
import { copyText } from "./clipboard";
import type { SourceFrame } from "./contract";
import { reveal } from "./reveal";
import { place } from "./text";

export function PlaceLink({ frame }: { frame: SourceFrame }) {
  const [said, setSaid] = useState("");
  const copied = frame.cell === null ? `${frame.file}:${frame.line}` : place(frame);
  const go = (event: MouseEvent): void => {
    if (reveal(frame, event.currentTarget as Element)) return;
    void copyText(copied).then(() => {
      setSaid(`${copied} copied`);
      setTimeout(() => setSaid(""), 1600);
    });
  };
  const title = frame.cell === null ? `copy ${copied}` : "show it in the notebook";
  return (
    <>
      <button type="button" class="jd-link jd-place" title={title} onClick={go}>
        {place(frame)}
      </button>
      <span role="status">{said && <small> {said}</small>}</span>
    </>
  );
}
