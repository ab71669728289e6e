// Where the cells of a tile are on the canvas, and how they are drawn.

import { GOOD, INF, NAN } from "../badness";
import type { Place } from "../canvas";
import { type Numbers, unpack } from "../columns";
import type { TileAnswer } from "../contract";
import type { Colours } from "../theme";
import { drawBad } from "./colouring";

const HEIGHT = 240;
const SIDE = 18;
const NARROW = 6;

export interface Grid {
  rows: number;
  columns: number;
  /** Of a cell, in pixels; `gap` is a part of them. */
  width: number;
  height: number;
  gap: number;
  worst: Numbers;
  largest: Numbers;
}

/** The cells of a tile in a width: square, unless that is too narrow to see. */
export function gridOf(answer: TileAnswer, width: number): Grid {
  const { rows, columns } = answer;
  const [across, down] = [width / columns, HEIGHT / rows];
  const square = Math.min(SIDE, across, down);
  return {
    rows,
    columns,
    width: Math.min(across, Math.max(square, NARROW)),
    height: Math.min(down, Math.max(square, NARROW)),
    gap: square >= NARROW ? 1 : 0,
    worst: unpack(answer.worst, rows * columns),
    largest: unpack(answer.largest, rows * columns),
  };
}

/** The cell at a point; null where there is none. */
export function cellAt(grid: Grid, p: Place): number | null {
  const row = Math.floor(p.y / grid.height);
  const column = Math.floor(p.x / grid.width);
  return row < grid.rows && column < grid.columns ? row * grid.columns + column : null;
}

/** The middle of a cell. */
export function middleOf(grid: Grid, cell: number): Place {
  const { x, y } = cornerOf(grid, cell);
  return { x: x + grid.width / 2, y: y + grid.height / 2 };
}

function cornerOf(grid: Grid, cell: number): Place {
  return {
    x: (cell % grid.columns) * grid.width,
    y: Math.floor(cell / grid.columns) * grid.height,
  };
}

/** The cell some steps down and across, within the grid. */
export function moved(grid: Grid, cell: number, down: number, across: number): number {
  const row = within(Math.floor(cell / grid.columns) + down, grid.rows);
  return row * grid.columns + within((cell % grid.columns) + across, grid.columns);
}

function within(index: number, count: number): number {
  return Math.max(0, Math.min(index, count - 1));
}

export function drawGrid(
  ctx: CanvasRenderingContext2D,
  colours: Colours,
  grid: Grid,
  selected: number | null,
): void {
  drawMagnitudes(ctx, colours, grid);
  for (let i = 0; i < grid.worst.length; i++) drawWorst(ctx, colours, grid, i);
  if (selected === null) return;
  const { x, y } = cornerOf(grid, selected);
  ctx.strokeStyle = colours.text;
  ctx.lineWidth = 2;
  ctx.strokeRect(x, y, grid.width - grid.gap, grid.height - grid.gap);
}

/** Good cells, from the smallest to the largest magnitude of the tile. */
function drawMagnitudes(ctx: CanvasRenderingContext2D, colours: Colours, grid: Grid): void {
  const logs = Array.from(grid.largest, (v) => Math.log10(v));
  const known = logs.filter(Number.isFinite);
  const least = Math.min(...known);
  const span = Math.max(...known) - least || 1;
  const wide = Math.max(grid.width - grid.gap, 0.7);
  const tall = Math.max(grid.height - grid.gap, 0.7);
  logs.forEach((log, i) => {
    if ((grid.worst[i] ?? GOOD) !== GOOD) return;
    const step = Math.round(((log - least) / span) * (colours.ramp.length - 1));
    const { x, y } = cornerOf(grid, i);
    ctx.fillStyle = colours.ramp[step] ?? colours.unknown;
    ctx.fillRect(x, y, wide, tall);
  });
}

function drawWorst(
  ctx: CanvasRenderingContext2D,
  colours: Colours,
  { worst, columns, width, height, gap }: Grid,
  cell: number,
): void {
  const bad = worst[cell];
  if (bad !== INF && bad !== NAN) return;
  const [x, y] = [(cell % columns) * width, Math.floor(cell / columns) * height];
  ctx.fillStyle = colours.nan;
  const tall = Math.max(height - gap, 4);
  // A row of NaN is one line.
  if (bad === NAN) ctx.fillRect(x, y + (height - gap - tall) / 2, width - gap, tall);
  drawBad(ctx, bad, x, y, Math.min(width, height) - gap, colours);
}
