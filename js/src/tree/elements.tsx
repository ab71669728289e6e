// The elements of a leaf as a heat map, reduced by the kernel so that one NaN is seen.

import { useEffect, useMemo, useState } from "preact/hooks";
import { NAN } from "../badness";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import { unpack } from "../columns";
import type { TileAnswer } from "../contract";
import type { Store } from "../store/store";
import { number } from "../text";
import type { Colours } from "../theme";
import { drawBad } from "./colouring";
import { Copy, expressionOf } from "./copy";

export function LeafElements(props: { store: Store; path: string; theme: number }) {
  const { store } = props;
  const which = store.elements.of.value;
  const tile = store.elements.tile.value;
  useEffect(() => {
    const now = store.elements.tile.value;
    if (now.state === "none" || now.of !== which) store.elements.ask();
  }, [which, store]);
  const answer = tile.state === "there" && tile.of === which ? tile.answer : null;
  const picture = useMemo(() => pictureOf(store), [which, store]);
  const seen = answer && !answer.error ? answer : picture;
  if (!store.elements.hasKernel && !picture && !store.elements.source.value) return null;
  return (
    <section>
      <h4>Elements</h4>
      {seen && <Heat {...props} answer={seen} reduced={seen === picture} />}
      {!seen && !store.elements.hasKernel && <p class="jd-note">No picture is kept.</p>}
      {store.elements.hasKernel && !answer && <Waiting closer={picture !== null} />}
      {answer?.error && <p class="jd-note">{answer.error}</p>}
    </section>
  );
}

/** The picture in the report of a bad output of a failing call. */
function pictureOf(store: Store): TileAnswer | null {
  const source = store.elements.source.value;
  const picture = source?.outputs.picture(source.output);
  if (!picture) return null;
  return {
    ...picture,
    answer: "tile",
    id: 0,
    error: "",
    window: picture.shape.map((n): [number, number] => [0, n]),
    worst: { list: Array.from(picture.worst, Number) },
    values: [],
  };
}

/** Empty for a moment: most answers come at once. */
function Waiting({ closer }: { closer: boolean }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, []);
  const what = closer ? "a closer look comes" : "the elements come";
  return (
    <p class="jd-note jd-busy" role="status">
      {late ? `kernel busy – ${what} when the cell ends` : " "}
    </p>
  );
}

interface HeatProps {
  store: Store;
  path: string;
  answer: TileAnswer;
  /** Whether it is a picture of the report, which has no closer look. */
  reduced: boolean;
  theme: number;
}

function Heat({ store, path, answer, reduced, theme }: HeatProps) {
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
      const bad = worst[i] ?? 0;
      if (bad) continue;
      const t = (Math.log10(largest[i] ?? NaN) - least) / span;
      ctx.fillStyle = Number.isFinite(t)
        ? (colours.ramp[Math.round(t * (colours.ramp.length - 1))] ?? colours.unknown)
        : colours.unknown;
      ctx.fillRect(x, y, Math.max(wide - gap, 0.7), Math.max(high - gap, 0.7));
    }
    for (let i = 0; i < cells; i++) {
      const bad = worst[i] ?? 0;
      if (bad !== 1 && bad !== 2) continue;
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
  const tip = tipOf(path, answer, here);
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

/** What is known of the elements of a cell. */
function summary(answer: TileAnswer, cell: number): string {
  const cells = answer.rows * answer.columns;
  const one = isElement(windowAt(answer, cell));
  const bad = ["", "Inf", "NaN"][unpack(answer.worst, cells)[cell] ?? 0];
  if (bad) return one ? `is ${bad}` : `holds ${bad}`;
  const largest = unpack(answer.largest, cells)[cell] ?? NaN;
  return `${one ? "is |x| =" : "holds |x| up to"} ${number(largest)}`;
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

/** The range of elements that a cell of a tile shows. */
export function windowAt(answer: TileAnswer, cell: number): [number, number][] {
  const [down, across] = answer.axes;
  const row = Math.floor(cell / answer.columns);
  const column = cell % answer.columns;
  return answer.window.map(([from, to], axis) => {
    if (axis === down && down >= 0) return part(from, to, row, answer.step[0]);
    if (axis === across && across >= 0) return part(from, to, column, answer.step[1]);
    return [from, to];
  });
}

/** Cell `i` of those that take `each` elements of a range. */
function part(from: number, to: number, i: number, each: number): [number, number] {
  return [from + i * each, Math.min(from + (i + 1) * each, to)];
}

function isElement(window: [number, number][]): boolean {
  return window.every(([from, to]) => to - from <= 1);
}

/** The window to zoom to: at least 24 elements a side around the cell. */
function around(answer: TileAnswer, cell: [number, number][]): [number, number][] {
  return cell.map(([from, to], axis) => {
    if (!answer.axes.includes(axis)) return [from, to];
    const size = answer.shape[axis] ?? 1;
    const spare = Math.max(0, 24 - (to - from));
    const start = Math.max(0, Math.min(from - Math.floor(spare / 2), size - 24));
    return [start, Math.min(size, Math.max(to, start + 24))];
  });
}

export function expression(
  path: string,
  window: readonly (readonly [number, number])[],
  shape: readonly number[],
): string {
  const whole = window.every(([from, to], i) => from === 0 && to === shape[i]);
  if (whole && window.some(([from, to]) => to - from > 1)) return path;
  const parts = window.map(([from, to], i) => {
    if (to - from === 1) return String(from);
    return from === 0 && to === shape[i] ? ":" : `${from}:${to}`;
  });
  while (parts.at(-1) === ":") parts.pop();
  return parts.length ? `${path}[${parts.join(", ")}]` : path;
}

function tipOf(path: string, answer: TileAnswer, cell: number | null): string[] {
  if (cell === null) return [];
  const window = windowAt(answer, cell);
  return [
    expression(path, window, answer.shape),
    answer.values[cell] ?? summary(answer, cell),
  ];
}
