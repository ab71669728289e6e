// A tile as a heat map.

import { useEffect, useState } from "preact/hooks";
import { GOOD, INF, NAN } from "../badness";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import { unpack } from "../columns";
import type { TileAnswer } from "../contract";
import type { Store } from "../store/store";
import type { Colours } from "../theme";
import { drawBad } from "./colouring";
import { Copy, expressionOf } from "./copy";
import { around, cellTip, expression, isElement, summary, windowAt } from "./tile";

interface HeatProps {
  store: Store;
  path: string;
  answer: TileAnswer;
  /** Whether it is a picture of the report, which has no closer look. */
  reduced: boolean;
  theme: number;
}

/** Cells of elements: the colour is the magnitude, and NaN and Inf are on top. */
export function Heat({ store, path, answer, reduced, theme }: HeatProps) {
  const [ref, width] = useWidth();
  const [at, setAt] = useState<Place | null>(null);
  const [cursor, setCursor] = useState<number | null>(null); // of the keys
  const [picked, setPicked] = useState<number | null>(null);
  useEffect(() => {
    setPicked(null);
    setCursor(null);
  }, [answer]);
  const { rows, columns } = answer;
  const cells = rows * columns;
  const worst = unpack(answer.worst, cells);
  const largest = unpack(answer.largest, cells);
  // Square cells, unless they would become too narrow to see.
  const square = Math.min(18, width / columns, 240 / rows);
  const [wide, high] = [width / columns, 240 / rows].map((most) =>
    Math.min(most, Math.max(square, 6)),
  ) as [number, number];
  const height = Math.max(14, rows * high);
  const cellAt = (p: Place): number | null => {
    const row = Math.floor(p.y / high);
    const column = Math.floor(p.x / wide);
    return row < rows && column < columns ? row * columns + column : null;
  };
  const draw = (ctx: CanvasRenderingContext2D, colours: Colours): void => {
    const known = Array.from(largest, (v) => Math.log10(v)).filter(Number.isFinite);
    const least = Math.min(...known);
    const span = Math.max(...known) - least || 1;
    const gap = square >= 6 ? 1 : 0;
    for (let i = 0; i < cells; i++) {
      const x = (i % columns) * wide;
      const y = Math.floor(i / columns) * high;
      if (worst[i] ?? GOOD) continue;
      const t = (Math.log10(largest[i] ?? NaN) - least) / span;
      ctx.fillStyle = Number.isFinite(t)
        ? (colours.ramp[Math.round(t * (colours.ramp.length - 1))] ?? colours.unknown)
        : colours.unknown;
      ctx.fillRect(x, y, Math.max(wide - gap, 0.7), Math.max(high - gap, 0.7));
    }
    for (let i = 0; i < cells; i++) {
      const bad = worst[i] ?? 0;
      if (bad !== INF && bad !== NAN) continue;
      const [x, y] = [(i % columns) * wide, Math.floor(i / columns) * high];
      ctx.fillStyle = colours.nan;
      const tall = Math.max(high - gap, 4);
      // A row of NaN is one line.
      if (bad === NAN) ctx.fillRect(x, y + (high - gap - tall) / 2, wide - gap, tall);
      drawBad(ctx, bad, x, y, Math.min(wide, high) - gap, colours);
    }
    if (here === null) return;
    ctx.strokeStyle = colours.text;
    ctx.lineWidth = 2;
    const { x, y } = placeOf(here);
    ctx.strokeRect(x - wide / 2, y - high / 2, wide - gap, high - gap);
  };
  const here = at ? cellAt(at) : cursor;
  const placeOf = (cell: number): Place => ({
    x: ((cell % columns) + 0.5) * wide,
    y: (Math.floor(cell / columns) + 0.5) * high,
  });
  const pick = (cell: number | null): void => {
    if (cell === null) return;
    const window = windowAt(answer, cell);
    if (reduced || (isElement(window) && answer.values.length)) setPicked(cell);
    else store.elements.ask(around(answer, window));
  };
  const onKey = (event: KeyboardEvent): void => {
    const [down, across] = STEPS[event.key] ?? [0, 0];
    if (down || across) {
      const row = within(Math.floor((here ?? 0) / columns) + down, rows);
      const column = within(((here ?? 0) % columns) + across, columns);
      setCursor(here === null ? 0 : row * columns + column);
      setAt(null);
    } else if (event.key === "Enter") pick(here);
    else if (event.key === "Backspace") store.elements.ask();
    else return;
    event.preventDefault();
  };
  const tip = cellTip(path, answer, here);
  const whole = answer.window.every(([a, b], i) => a === 0 && b === answer.shape[i]);
  const other = answer.shape
    .map((size, axis) => ({ size, axis }))
    .filter(({ axis, size }) => !answer.axes.includes(axis) && size > 1);
  return (
    <div class="jd-heat" ref={ref}>
      <div class="jd-note">
        {expression(path, answer.window, answer.shape)}{" "}
        {!whole && (
          <button type="button" class="jd-link" onClick={() => store.elements.ask()}>
            whole leaf
          </button>
        )}
      </div>
      {other.map(({ axis, size }) => (
        <Axis key={axis} {...{ store, answer, axis, size, reduced }} />
      ))}
      <div
        class="jd-cells"
        role="application"
        aria-label="Arrow keys move, Enter looks closer, Backspace at all"
        tabIndex={0}
        onKeyDown={onKey}
        onBlur={() => setCursor(null)}
      >
        <Canvas
          width={width}
          height={height}
          theme={theme}
          label={`Elements of ${path}, ${rows} by ${columns} cells`}
          draw={draw}
          onPoint={setAt}
          onPick={(p) => pick(cellAt(p))}
        />
        <Tip at={at ?? (here === null ? null : placeOf(here))} lines={tip} />
      </div>
      <div class="jd-unseen" role="status">
        {tip.join(": ")}
      </div>
      {picked !== null && <Picked {...{ store, path, answer }} cell={picked} />}
    </div>
  );
}

interface PickedProps {
  store: Store;
  path: string;
  answer: TileAnswer;
  cell: number;
}

/** One element and its value, or what is known of several; with its expression. */
function Picked({ store, path, answer, cell }: PickedProps) {
  const { text, copied } = expressionOf(store, path);
  const window = windowAt(answer, cell);
  const at = (start: string): string => expression(start, window, answer.shape);
  const value = answer.values[cell];
  return (
    <div class="jd-value">
      <code>{at(text)}</code>{" "}
      {value === undefined ? summary(answer, cell) : <>= <b>{value}</b></>}{" "}
      <Copy text={at(text)} copied={copied && at(copied)} />
    </div>
  );
}

interface AxisProps {
  store: Store;
  answer: TileAnswer;
  axis: number;
  size: number;
  reduced: boolean;
}

/** An axis that is neither down nor across: all of it, the worst shown; or one index. */
function Axis({ store, answer, axis, size, reduced }: AxisProps) {
  const [from, to] = answer.window[axis] ?? [0, size];
  const one = to - from === 1;
  const ask = (range: [number, number]): void => {
    store.elements.ask(answer.window.map((w, i) => (i === axis ? range : w)));
  };
  return (
    <label class="jd-axis">
      axis {axis}{" "}
      <select
        class="jd-select"
        disabled={reduced}
        value={one ? String(from) : "all"}
        onChange={(e) => {
          const v = e.currentTarget.value;
          ask(v === "all" ? [0, size] : [Number(v), Number(v) + 1]);
        }}
      >
        <option value="all">all {size}, worst of each</option>
        {Array.from({ length: Math.min(size, 512) }, (_, i) => (
          <option key={i} value={String(i)}>
            {i}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Where the arrow keys go: down, and across. */
const STEPS: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

function within(index: number, count: number): number {
  return Math.max(0, Math.min(index, count - 1));
}
