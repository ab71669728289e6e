// The origin of a bad value: where it was born, from what, and its way from there.

import type { Finding, Loop, Operand, Origin, Turn } from "../contract";
import { Prose } from "../prose";
import { Section } from "../section";
import { Source } from "../source";
import { Spark } from "../spark";
import type { Store } from "../store/store";
import { count, element, number, place, some } from "../text";

export function OriginDetails(props: { store: Store; finding: Finding; origin: Origin }) {
  const { origin } = props;
  return (
    <>
      <Section title={headOf(origin)}>
        {origin.source && <Source frame={origin.source} />}
        <Where origin={origin} />
        {origin.library_source && (
          <details>
            <summary>in the library: {place(origin.library_source)}</summary>
            <Source frame={origin.library_source} />
          </details>
        )}
        {origin.forward_source && (
          <>
            <p>It differentiates the forward line</p>
            <Source frame={origin.forward_source} />
          </>
        )}
      </Section>
      {origin.operands.length > 0 && (
        <Section title="Made from">
          {origin.operands.map((o, i) => (
            <OperandLine key={i} operand={o} />
          ))}
        </Section>
      )}
      {origin.argument && (
        <Section title="Came in through">
          <p>
            <code>{origin.argument}</code>
            {origin.made_by && <>, made by {origin.made_by}</>}
          </p>
        </Section>
      )}
      {origin.passed?.length > 0 && (
        <Section title="Passed">
          {origin.passed.map((one) => (
            <p key={one.parameter}>
              <code>{one.parameter}</code> is your <code>{one.expression}</code>
              {one.row !== null && `: row ${one.row} of the batch`}
              {one.data && (
                <>
                  , row {one.data_row} of <code>{one.data}</code>
                </>
              )}
            </p>
          ))}
        </Section>
      )}
      {origin.advice && (
        <Section title={origin.cause ? `${origin.likely ? "Likely " : ""}${origin.cause}` : "Next"}>
          <p class="jd-advice">
            <Prose text={origin.advice} />
          </p>
        </Section>
      )}
      {origin.steps.length > 0 && (
        <Section title="Then">
          <ol class="jd-steps">
            {origin.steps.map((s, i) => (
              <Step key={i} turn={s} />
            ))}
          </ol>
        </Section>
      )}
      {origin.others.length > 0 && (
        <Section title={some(origin.others.length, "more birth")}>
          <ul class="jd-steps">
            {origin.others.map((other, i) => (
              <Step key={i} turn={other} />
            ))}
          </ul>
        </Section>
      )}
      <Rows origin={origin} />
      {origin.growth.length > 1 && (
        <Section title="Largest magnitude in the calls before">
          <Spark values={origin.growth.map(Number)} />
        </Section>
      )}
      {origin.made_at && (
        <Section title={`In ${origin.made_by || "the call that made it"}`}>
          <OriginDetails {...props} origin={origin.made_at} />
        </Section>
      )}
      {origin.notes.map((note, i) => (
        <p key={i} class="jd-note">
          <Prose text={note} />
        </p>
      ))}
    </>
  );
}

const KINDS: Record<string, string> = { nan: "NaN", inf: "Inf", "-inf": "−Inf" };

export function headOf(origin: Origin): string {
  const kind = KINDS[origin.kind] ?? origin.kind;
  const what = origin.expression || origin.primitive;
  const sure = origin.candidate ? "A candidate, not certain: " : "";
  const heads: Record<string, string> = {
    born: `${sure}${kind} was born ${what ? `in ${what}` : "here"}`,
    placed: `${kind} was placed by the program`,
    "came in": `${kind} came in`,
  };
  return heads[origin.verdict] ?? `${kind}: ${origin.verdict}`;
}

function Where({ origin }: { origin: Origin }) {
  const parts = [
    origin.module && `in ${origin.module}`,
    origin.direction && `${origin.direction} pass`,
    ...origin.loop.map(loopText),
    ...origin.branches.map(([i, n]) => `branch ${i} of ${n}`),
    origin.element && `first at [${origin.element.join(", ")}]`,
    origin.device && `on ${origin.device}`,
    origin.wider,
  ].filter(Boolean);
  return parts.length ? <p class="jd-note">{parts.join(" · ")}</p> : null;
}

export function loopText([kind, iteration, length]: Loop): string {
  return `${kind} iteration ${iteration}${length === null ? "" : ` of ${length}`}`;
}

function OperandLine({ operand }: { operand: Operand }) {
  const bad = operand.nan + operand.posinf + operand.neginf;
  const facts = [
    operand.low !== null && `${number(operand.low)} … ${number(operand.high)}`,
    operand.zeros > 0 && `${count(operand.zeros)} zero of ${count(operand.size)}`,
    operand.negatives > 0 && `${count(operand.negatives)} negative`,
    operand.subnormals > 0 && `${count(operand.subnormals)} subnormal`,
    bad > 0 && `${count(bad)} NaN or Inf`,
  ].filter(Boolean);
  return (
    <div class="jd-operand">
      <div>
        <code>{operand.name || operand.role || "operand"}</code>{" "}
        <small>
          {operand.name && operand.role ? `${operand.role} · ` : ""}
          {operand.dtype}[{operand.shape.join("×")}]
        </small>
      </div>
      {facts.length > 0 && <div class="jd-note">{facts.join(" · ")}</div>}
      {operand.value && operand.element && (
        <div class="jd-value">
          {operand.element.length
            ? element(whole(operand.name), operand.element)
            : operand.name}{" "}
          = <b>{operand.value}</b>
        </div>
      )}
    </div>
  );
}

/** An operand that an index can follow. */
function whole(name: string): string {
  if (!name) return "it";
  return /^[\w.[\]'"]+$/.test(name) ? name : `(${name})`;
}

function Step({ turn }: { turn: Turn }) {
  return (
    <li>
      {turn.text ? <Prose text={turn.text} /> : `${KINDS[turn.kind] ?? turn.kind} at ${turn.primitive}`}
      {turn.source && <span class="jd-note"> · {place(turn.source)}</span>}
      {turn.module && <span class="jd-note"> · {turn.module}</span>}
      {turn.source?.code && <Source frame={turn.source} bare />}
    </li>
  );
}

function Rows({ origin }: { origin: Origin }) {
  if (!origin.rows.length && !origin.rows_note) return null;
  const rows = origin.rows.map(([name, row]) => `${name}[${row}]`);
  return (
    <Section title="Rows of the batch that cause it">
      <p>
        {rows.slice(0, 12).map((row) => (
          <code key={row}>{row} </code>
        ))}
        {rows.length > 12 && `and ${rows.length - 12} more `}
        <span class="jd-note">{origin.rows_note}</span>
      </p>
    </Section>
  );
}
