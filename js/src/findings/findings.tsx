// Each failure as one row in plain words; selecting one takes everything to its place.

import type { Finding, Remark } from "../contract";
import { badnessOf, type Store } from "../store";
import { INF, NAN } from "../tree/tree";

export function Findings({ store }: { store: Store }) {
  const findings = store.findings.value;
  if (!findings.length) return <Notices store={store} />;
  const subject = store.subject.value;
  return (
    <div class="jd-findings" role="listbox" aria-label="Findings" tabIndex={-1}>
      {findings.map((finding, i) => {
        const here = subject?.kind === "finding" && subject.index === i;
        return (
          <div
            key={i}
            class={`jd-finding ${here ? "jd-here" : ""}`}
            role="option"
            tabIndex={0}
            aria-selected={here}
            onClick={() => store.selectFinding(i)}
            onKeyDown={(e) => onRowKey(e, () => store.selectFinding(i))}
          >
            <Glyph finding={finding} />
            <span class="jd-what">{inWords(finding)}</span>
            <span class="jd-where">
              {finding.function && (
                <>
                  <code>{finding.function}</code> call {finding.call}
                </>
              )}
              {finding.location && ` · ${finding.location}`}
            </span>
          </div>
        );
      })}
      <Notices store={store} />
    </div>
  );
}

/** Enter and the space bar select; arrows go to the neighbours. */
export function onRowKey(event: KeyboardEvent, select: () => void): void {
  const row = event.currentTarget as HTMLElement;
  const to = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[
    event.key
  ];
  if (event.key === "Enter" || event.key === " ") select();
  else if (to instanceof HTMLElement) to.focus();
  else return;
  event.preventDefault();
}

export function Glyph({ finding }: { finding: Finding }) {
  const bad = badnessOf(finding);
  const name = bad === NAN ? "jd-nan" : bad === INF ? "jd-inf" : "jd-other";
  const sign = bad === NAN ? "N" : bad === INF ? "∞" : SIGNS[finding.kind];
  return (
    <span class={`jd-glyph ${name}`} aria-hidden="true">
      {sign ?? "!"}
    </span>
  );
}

const SIGNS: Record<string, string> = { traces: "↻", compiles: "↻" };

/** The head of the message: it says what and where. */
export function inWords(finding: Finding): string {
  const line = finding.message.split("\n", 1)[0] ?? "";
  return line.replace(/[:.]$/, "");
}

function stale({ function: name, reason }: Remark): string {
  return (
    `${name} was traced with ${reason.where} = ${reason.before}, which is ` +
    `${reason.after} now: what is compiled goes on with ${reason.before}.`
  );
}

function Notices({ store }: { store: Store }) {
  const report = store.report.value;
  if (!report) return null;
  const { notices, placed, remarks } = report;
  if (!notices.length && !placed.length && !remarks.length) return null;
  return (
    <div class="jd-notices">
      {report.placed.length > 0 && (
        <div>
          NaN or Inf that was placed or came in, no failure: {report.placed.slice(0, 4).join(", ")}
          {report.placed.length > 4 && ` and ${report.placed.length - 4} more`}
        </div>
      )}
      {remarks.slice(0, 5).map((remark, i) => (
        <div key={i}>{stale(remark)}</div>
      ))}
      {report.notices.map((notice, i) => (
        <div key={i}>jaxdbg: {notice}</div>
      ))}
    </div>
  );
}
