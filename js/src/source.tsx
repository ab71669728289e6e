// Lines of a source file.

import type { SourceFrame } from "./contract";
import { PlaceLink } from "./place";

/** Source lines, with the expression underlined; under their place, or bare. */
export function Source({ frame, bare }: { frame: SourceFrame; bare?: boolean }) {
  return (
    <div class="jd-source">
      {!bare && (
        <div class="jd-note">
          <PlaceLink frame={frame} />
          {frame.function && ` · ${frame.function}`}
        </div>
      )}
      {frame.code && (
        <pre>
          {lineParts(frame).map((line, i) => (
            <div key={i}>
              <span class="jd-line">{line.number}</span>
              {line.before}
              {line.inside && <mark>{line.inside}</mark>}
              {line.after}
            </div>
          ))}
        </pre>
      )}
    </div>
  );
}

export interface LineParts {
  number: number;
  before: string;
  inside: string;
  after: string;
}

/** Splits each dedented line into what is before, in and after the expression. */
export function lineParts(frame: SourceFrame): LineParts[] {
  const lines = frame.code.replace(/\n$/, "").split("\n");
  const indents = lines.filter((l) => l.trim()).map((l) => l.length - l.trimStart().length);
  const indent = Math.min(...indents, 200);
  const known = frame.end_column > 0;
  return lines.map((line, i) => {
    const first = line.length - line.trimStart().length;
    const from = !known ? line.length : i === 0 ? frame.column : first;
    const last = frame.end_line ? frame.end_line - frame.line : 0;
    const to = i === last ? frame.end_column : line.length;
    return {
      number: frame.line + i,
      before: line.slice(indent, Math.max(from, indent)),
      inside: known ? line.slice(from, to) : "",
      after: known ? line.slice(to) : "",
    };
  });
}
