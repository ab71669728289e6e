// Each failure as one row; selecting a row selects its leaf, its call and its moment.

import type { Remark } from "../contract";
import { FindingGlyph } from "../glyph";
import { onRowKey } from "../keyboard";
import { Prose } from "../prose";
import type { Store } from "../store/store";
import { Story } from "./story";

export function Findings({ store }: { store: Store }) {
  const findings = store.data.findings.value;
  if (!findings.length) return <Notices store={store} />;
  const open = store.selection.finding.value;
  const finding = findings[open];
  const story = store.data.stories.value[open];
  return (
    <>
      <div class="jd-findings" role="listbox" aria-label="Findings" tabIndex={-1}>
        {findings.map((finding, i) => (
          <div
            key={i}
            class={`jd-finding ${i === open ? "jd-here" : ""}`}
            role="option"
            tabIndex={0}
            aria-selected={i === open}
            onClick={() => store.navigate.toFinding(i)}
            onKeyDown={(e) => onRowKey(e, () => store.navigate.toFinding(i))}
          >
            <FindingGlyph finding={finding} />
            <b class="jd-what">
              <Prose text={store.data.stories.value[i]?.what ?? ""} />
            </b>
            <span class="jd-where">{store.data.stories.value[i]?.where}</span>
          </div>
        ))}
      </div>
      {finding && story && <Story key={open} store={store} finding={finding} story={story} />}
      <Notices store={store} />
    </>
  );
}

function stale({ function: name, reason }: Remark): string {
  return (
    `${name} was traced with ${reason.where} = ${reason.before}, which is ` +
    `${reason.after} now: the compiled program still uses ${reason.before}.`
  );
}

function Notices({ store }: { store: Store }) {
  const report = store.data.report.value;
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
