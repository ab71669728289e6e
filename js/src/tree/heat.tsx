// A tile as a heat map.

import { useEffect, useState } from "preact/hooks";
import { Copy } from "../copy";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import type { TileAnswer } from "../contract";
import type { Store } from "../store/store";
import { expressionOf } from "./expression";
import { cellAt, drawGrid, gridOf, middleOf, moved } from "./grid";
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
  const grid = gridOf(answer, width);
  const here = at ? cellAt(grid, at) : cursor;
  const pick = (cell: number | null): void => {
    if (cell === null) return;
    const window = windowAt(answer, cell);
    if (reduced || (isElement(window) && answer.values.length)) setPicked(cell);
    else store.elements.ask(around(answer, window));
  };
  const onKey = (event: KeyboardEvent): void => {
    const [down, across] = STEPS[event.key] ?? [0, 0];
    if (down || across) {
      setCursor(here === null ? 0 : moved(grid, here, down, across));
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
          height={Math.max(14, grid.rows * grid.height)}
          theme={theme}
          label={`Elements of ${path}, ${grid.rows} by ${grid.columns} cells`}
          draw={(ctx, colours) => drawGrid(ctx, colours, grid, here)}
          onPoint={setAt}
          onPick={(p) => pick(cellAt(grid, p))}
        />
        <Tip at={at ?? (here === null ? null : middleOf(grid, here))} lines={tip} />
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
