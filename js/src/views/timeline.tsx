// Compilations on a wall-clock axis: a lane for each function, and a table under it.

import { useMemo, useRef, useState } from "preact/hooks";
import type { CompileEvent } from "../report";
import type { Colours } from "../paint";
import { extent, type Lane, lanes, ticks } from "../spans";
import { badnessOf, type Store } from "../store";
import { seconds } from "../text";
import { INF } from "../tree";
import { Canvas, type Place, Tip, useWidth } from "./canvas";
import { onRowKey } from "./findings";

const LABEL = 132;
const LANE = 20;
const TOP = 18;

type Range = [number, number];

export function Timeline({ store, theme }: { store: Store; theme: number }) {
  const [ref, width] = useWidth();
  const [zoom, setZoom] = useState<Range | null>(null);
  const [brush, setBrush] = useState<Range | null>(null);
  const [at, setAt] = useState<Place | null>(null);
  const start = useRef<number | null>(null);
  const events = store.compilations.value;
  const findings = store.findings.value;
  const report = store.report.value;
  const began = report?.began || events[0]?.start || 0;
  const all = useMemo(() => lanes(events), [events]);
  const ends = began + (report?.seconds ?? 0);
  const full = useMemo(
    () => extent(events, [began, ends, ...findings.map((f) => f.time)]),
    [events, findings, began, ends],
  );
  const [from, to] = zoom ?? full;
  const scale = (width - LABEL - 8) / (to - from);
  const xOf = (t: number): number => LABEL + (t - from) * scale;
  const tOf = (x: number): number => from + (x - LABEL) / scale;
  const height = TOP + all.length * LANE + 6;
  const subject = store.subject.value;
  const moment = store.moment.value;
  const picked = subject?.kind === "compilation" ? subject.index : -1;

  const eventAt = (p: Place): number => {
    const lane = all[Math.floor((p.y - TOP) / LANE)];
    if (!lane || p.x < LABEL) return -1;
    const near = lane.events.filter((i) => {
      const e = events[i] as CompileEvent;
      const x = xOf(e.start);
      return p.x >= x - 2 && p.x <= Math.max(x + e.duration * scale, x + 3) + 1;
    });
    return near.at(-1) ?? -1; // what is nested comes later, and is drawn above
  };
  const draw = (ctx: CanvasRenderingContext2D, colours: Colours): void => {
    drawAxis(ctx, colours, { from, to, began, width, height, xOf });
    ctx.font = "11px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
    all.forEach((lane, row) => drawLane(ctx, colours, lane, row));
    ctx.save();
    ctx.beginPath();
    ctx.rect(LABEL, 0, width - LABEL, height);
    ctx.clip();
    for (const [row, lane] of all.entries()) {
      for (const i of lane.events) drawEvent(ctx, colours, i, row);
    }
    findings.forEach((finding) => {
      if (!finding.time) return;
      const colour = badnessOf(finding) === INF ? colours.inf : colours.nan;
      drawMark(ctx, xOf(finding.time), height, colour);
    });
    if (moment) {
      ctx.strokeStyle = colours.text;
      ctx.setLineDash([2, 3]);
      line(ctx, xOf(moment), TOP, height);
      ctx.setLineDash([]);
    }
    if (brush) {
      ctx.globalAlpha = 0.18;
      ctx.fillStyle = colours.accent;
      ctx.fillRect(xOf(brush[0]), 0, (brush[1] - brush[0]) * scale, height);
    }
    ctx.restore();
  };
  const drawLane = (
    ctx: CanvasRenderingContext2D,
    colours: Colours,
    lane: Lane,
    row: number,
  ): void => {
    const y = TOP + row * LANE;
    ctx.fillStyle = colours.line;
    ctx.fillRect(LABEL, y + LANE - 1, width - LABEL, 0.5);
    ctx.fillStyle = lane.user ? colours.text : colours.dim;
    const name = lane.name.length > 18 ? `${lane.name.slice(0, 17)}…` : lane.name;
    ctx.fillText(name, 0, y + 14);
  };
  const drawEvent = (
    ctx: CanvasRenderingContext2D,
    colours: Colours,
    index: number,
    row: number,
  ): void => {
    const e = events[index] as CompileEvent;
    const x = xOf(e.start);
    const w = Math.max(e.duration * scale, 1.5);
    if (x > width || x + w < LABEL) return;
    const y = TOP + row * LANE + 4;
    ctx.fillStyle = colours.phases[e.phase] ?? colours.good;
    ctx.fillRect(x, y, w, LANE - 8);
    if (e.reason && w > 1) {
      // Made again: a dark foot, wider than the bar where that is thin.
      ctx.fillStyle = e.reason.avoidable ? colours.nan : colours.text;
      ctx.fillRect(x, y + LANE - 9, Math.max(w, 3), 2.5);
    }
    if (e.failed) drawCross(ctx, x + w, y + 6, colours.nan);
    if (index === picked) {
      ctx.strokeStyle = colours.text;
      ctx.lineWidth = 1.5;
      ctx.strokeRect(x - 1.5, y - 1.5, w + 3, LANE - 5);
    }
  };
  const dragged = (p: Place): boolean =>
    start.current !== null && Math.abs(p.x - start.current) > 4;
  return (
    <div class="jd-timeline" ref={ref}>
      <div class="jd-bar">
        <h4>Compilations</h4>
        <Key store={store} />
        <span class="jd-space" />
        {zoom ? (
          <button type="button" class="jd-link" onClick={() => setZoom(null)}>
            show all
          </button>
        ) : (
          <small>drag to zoom</small>
        )}
      </div>
      <Canvas
        width={width}
        height={height}
        theme={theme}
        label={`Timeline of ${events.length} traces, lowerings and compilations. The table under it lists them.`}
        draw={draw}
        onPoint={(p) => {
          setAt(p);
          if (p && start.current !== null && dragged(p)) {
            const ends = [tOf(start.current), tOf(p.x)].sort((a, b) => a - b);
            setBrush(ends as Range);
          }
        }}
        onDown={(p, e) => {
          start.current = p.x;
          (e.target as HTMLElement).setPointerCapture?.(e.pointerId);
        }}
        onUp={(p) => {
          if (brush && dragged(p)) setZoom(brush);
          else {
            const index = eventAt(p);
            if (index >= 0) store.selectCompilation(index);
          }
          start.current = null;
          setBrush(null);
        }}
      />
      <Tip at={at} lines={at && !brush ? tipOf(events[eventAt(at)]) : []} />
      <Compilations store={store} />
    </div>
  );
}

interface Axis {
  from: number;
  to: number;
  began: number;
  width: number;
  height: number;
  xOf: (t: number) => number;
}

function drawAxis(ctx: CanvasRenderingContext2D, colours: Colours, axis: Axis): void {
  const step = ticks(axis.to - axis.from, (axis.width - LABEL) / 90);
  ctx.font = "10px system-ui, sans-serif";
  const first = Math.ceil((axis.from - axis.began) / step);
  for (let n = first; axis.began + n * step < axis.to; n++) {
    const x = axis.xOf(axis.began + n * step);
    if (x < LABEL) continue;
    ctx.fillStyle = colours.line;
    ctx.fillRect(x, 12, 0.5, axis.height);
    ctx.fillStyle = colours.dim;
    ctx.fillText(n === 0 ? "0" : seconds(n * step), x + 2, 10);
  }
}

function line(ctx: CanvasRenderingContext2D, x: number, from: number, to: number): void {
  ctx.beginPath();
  ctx.moveTo(x, from);
  ctx.lineTo(x, to);
  ctx.stroke();
}

/** A failure: a line, and a triangle at its head. */
function drawMark(
  ctx: CanvasRenderingContext2D,
  x: number,
  height: number,
  colour: string,
): void {
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5;
  line(ctx, x, TOP - 4, height);
  ctx.beginPath();
  ctx.moveTo(x - 5, TOP - 9);
  ctx.lineTo(x + 5, TOP - 9);
  ctx.lineTo(x, TOP - 1);
  ctx.fill();
}

function drawCross(
  ctx: CanvasRenderingContext2D,
  x: number,
  y: number,
  colour: string,
): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.moveTo(x - 3, y - 3);
  ctx.lineTo(x + 3, y + 3);
  ctx.moveTo(x - 3, y + 3);
  ctx.lineTo(x + 3, y - 3);
  ctx.stroke();
}

function tipOf(event: CompileEvent | undefined): string[] {
  if (!event) return [];
  const lines = [`${event.phase} ${event.function} · ${seconds(event.duration)}`];
  const signature = Object.entries(event.signature);
  for (const [name, what] of signature.slice(0, 6)) lines.push(`${name}: ${what}`);
  if (signature.length > 6) lines.push(`and ${signature.length - 6} more arguments`);
  if (event.reason) lines.push(again(event));
  return lines;
}

/** Why it ran again, in one line. */
export function again(event: CompileEvent): string {
  const reason = event.reason;
  if (!reason) return "";
  const change =
    reason.before || reason.after ? `: ${reason.before} → ${reason.after}` : "";
  return `again: ${reason.cause}${reason.where && ` of ${reason.where}`}${change}`;
}

function Key({ store }: { store: Store }) {
  const repeated = store.compilations.value.some((e) => e.reason);
  return (
    <span class="jd-legend">
      {["trace", "lower", "compile"].map((phase) => (
        <span key={phase}>
          <i class={`jd-swatch jd-${phase}`} /> {phase}
        </span>
      ))}
      {repeated && (
        <span>
          <i class="jd-swatch jd-again" /> again, avoidable
        </span>
      )}
    </span>
  );
}

type By = "start" | "function" | "phase" | "duration";

const COLUMNS: [By, string][] = [
  ["start", "at"],
  ["function", "function"],
  ["phase", "phase"],
  ["duration", "seconds"],
];
const MOST = 200;

function Compilations({ store }: { store: Store }) {
  const [by, setBy] = useState<By>("start");
  const [down, setDown] = useState(false);
  const [mine, setMine] = useState(true);
  const events = store.compilations.value;
  const report = store.report.value;
  const began = report?.began || events[0]?.start || 0;
  const subject = store.subject.value;
  const users = events.some((e) => e.user);
  const rows = useMemo(() => {
    const order = [...events.keys()].filter((i) => !mine || !users || events[i]?.user);
    const value = (i: number) => (events[i] as CompileEvent)[by];
    order.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a - b));
    return down ? order.reverse() : order;
  }, [events, by, down, mine, users]);
  const sort = (next: By): void => {
    setDown(next === by ? !down : next === "duration");
    setBy(next);
  };
  const rest = events.length - events.filter((e) => e.user).length;
  return (
    <details class="jd-compilations">
      <summary>
        {rows.length} traces, lowerings and compilations
      </summary>
      {users && rest > 0 && (
        <label>
          <input
            type="checkbox"
            checked={!mine}
            onChange={(e) => setMine(!e.currentTarget.checked)}
          />{" "}
          also {rest} of the library
        </label>
      )}
      <div class="jd-scroll" tabIndex={0} role="group" aria-label="Table of compilations">
        <table>
          <thead>
            <tr>
              {COLUMNS.map(([key, name]) => (
                <th
                  key={key}
                  scope="col"
                  aria-sort={by === key ? (down ? "descending" : "ascending") : "none"}
                >
                  <button type="button" onClick={() => sort(key)}>
                    {name}
                    {by === key && <span aria-hidden="true"> {down ? "▾" : "▴"}</span>}
                  </button>
                </th>
              ))}
              <th scope="col">why again</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST).map((i) => {
              const e = events[i] as CompileEvent;
              const here = subject?.kind === "compilation" && subject.index === i;
              return (
                <tr
                  key={i}
                  tabIndex={0}
                  class={here ? "jd-here" : ""}
                  aria-selected={here}
                  onClick={() => store.selectCompilation(i)}
                  onKeyDown={(k) => onRowKey(k, () => store.selectCompilation(i))}
                >
                  <td>{seconds(e.start - began)}</td>
                  <td>
                    <code>{e.function}</code>
                  </td>
                  <td>{e.phase + (e.failed ? ", failed" : "")}</td>
                  <td>{seconds(e.duration)}</td>
                  <td>{again(e).replace(/^again: /, "")}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {rows.length > MOST && <p class="jd-note">the first {MOST} of {rows.length}</p>}
      </div>
    </details>
  );
}
