// Where the cells of a map go. Pure functions, in CSS pixels.

import type { Group } from "./groups";

/** A group with its place: cells flow from (x, y), `perRow` in a row. */
export interface Block extends Group {
  x: number;
  y: number;
  perRow: number;
  rows: number;
  labelX: number;
  labelWidth: number;
}

/** A heading over the blocks of one part: params, batch stats, ... */
export interface Heading {
  text: string;
  x: number;
  y: number;
}

export interface Waffle {
  blocks: Block[];
  headings: Heading[];
  /** Side of a cell with its gap, and the gap. */
  pitch: number;
  /** From a cell to the next in its row: more than the pitch where names are between them. */
  stride: number;
  gap: number;
  /** How many leaves, one after the other, share a cell. */
  share: number;
  width: number;
  height: number;
  columns: number;
}

const PITCHES = [20, 17, 14, 12, 10, 8, 7, 6, 5, 4];
/** The width of a character, and the share of a column that labels may take. */
export const CHARACTER = 6.65;
const MOST_LABEL = 0.55;
const MOST_NAMED = 80;
const LINE = 16;
const HEADING = 20;

/** How many characters the longest texts have. */
interface Texts {
  /** The names of leaves, which have space beside the cells, where they fit. */
  names: number;
  /** The labels of groups, at the left of the cells. */
  labels: number;
}

/** Places the groups in a width, in about a height; cells share when they must. */
export function waffle(
  all: Group[],
  width: number,
  height: number,
  texts: Texts = { names: Infinity, labels: 18 },
): Waffle {
  const leaves = all.reduce((n, g) => n + g.end - g.start, 0);
  const label = Math.max(texts.labels * CHARACTER + 14, 48);
  const place = (pitch: number, columns: number, share: number, stride = pitch): Waffle =>
    placed(all, { width, pitch, columns, share, stride, label });
  if (leaves <= MOST_NAMED && texts.names <= 24) {
    const stride = 20 + 14 + texts.names * 6.7;
    for (let columns = Math.max(1, Math.floor(width / (label + 2 * stride))); columns > 0; columns--) {
      const named = place(20, columns, 1, stride);
      if (named.height <= height) return named;
    }
  }
  const pitch = PITCHES.at(-1) as number;
  // In a narrow panel the labels alone may need more.
  const most = columnsIn(width, label);
  const enough = Math.max(height, place(pitch, most, leaves).height);
  for (const pitch of PITCHES) {
    for (let columns = 1; columns <= most; columns++) {
      const found = place(pitch, columns, 1);
      if (found.height <= enough) return found;
    }
  }
  const perRow = Math.max(1, Math.floor((width - label) / pitch));
  // The labels alone need some height.
  const tall = Math.max(height, place(pitch, 1, leaves).height) * 1.1;
  let share = Math.max(1, Math.floor(leaves / (perRow * (tall / pitch))));
  for (; ; share = Math.ceil(share * 1.15)) {
    const found = place(pitch, 1, share);
    if (found.height <= tall) return found;
  }
}

function columnsIn(width: number, label: number): number {
  return Math.max(1, Math.min(4, Math.floor(width / (label + 100))));
}

interface Size {
  width: number;
  pitch: number;
  columns: number;
  share: number;
  stride: number;
  label: number;
}

function placed(all: Group[], size: Size): Waffle {
  const { width, pitch, columns, share, stride } = size;
  const gap = pitch > 7 ? 2 : pitch > 4 ? 1 : 0.5;
  const columnWidth = width / columns;
  const label = Math.min(size.label, columnWidth * MOST_LABEL);
  const perRow = Math.max(1, Math.floor((columnWidth - label - 14) / stride));
  const headings: Heading[] = [];
  const blocks: Block[] = [];
  const parts = partition(all);
  let top = 4; // for the outline of a cell
  for (const { part, members } of parts) {
    if (parts.length > 1) {
      const count = members.reduce((n, g) => n + g.end - g.start, 0);
      headings.push({ text: `${part} · ${count.toLocaleString("en")}`, x: 0, y: top });
      top += HEADING;
    }
    top = flow(members, blocks, { top, columns, columnWidth, perRow, pitch, share, label });
  }
  return { blocks, headings, pitch, stride, gap, share, width, height: top, columns };
}

interface Flow {
  top: number;
  columns: number;
  columnWidth: number;
  perRow: number;
  pitch: number;
  share: number;
  label: number;
}

/** Fills columns from top to bottom; returns where the longest one ends. */
function flow(members: Group[], blocks: Block[], how: Flow): number {
  const heights = members.map((g) => {
    const cells = Math.ceil((g.end - g.start) / how.share);
    return Math.max(LINE, Math.ceil(cells / how.perRow) * how.pitch) + 4;
  });
  const each = heights.reduce((a, b) => a + b, 0) / how.columns;
  let column = 0;
  let y = how.top;
  let lowest = how.top;
  members.forEach((group, i) => {
    const next = heights[i] as number;
    const full = y - how.top + next / 2 > each && y > how.top;
    if (full && column < how.columns - 1) {
      column++;
      y = how.top;
    }
    const x = column * how.columnWidth;
    const cells = Math.ceil((group.end - group.start) / how.share);
    blocks.push({
      ...group,
      x: x + how.label,
      y,
      perRow: how.perRow,
      rows: Math.ceil(cells / how.perRow),
      labelX: x,
      labelWidth: how.label - 10,
    });
    y += next;
    lowest = Math.max(lowest, y);
  });
  return lowest;
}

function partition(all: Group[]): { part: string; members: Group[] }[] {
  const found = new Map<string, Group[]>();
  for (const group of all) {
    const members = found.get(group.part);
    if (members) members.push(group);
    else found.set(group.part, [group]);
  }
  return [...found].map(([part, members]) => ({ part, members }));
}

/** The leaves [from, to) of the cell at a point; null where there is none. */
export function leavesAt(
  map: Waffle,
  x: number,
  y: number,
): { from: number; to: number; block: Block } | null {
  for (const block of map.blocks) {
    const row = Math.floor((y - block.y) / map.pitch);
    const column = Math.floor((x - block.x) / map.stride);
    if (row < 0 || row >= block.rows || column < 0 || column >= block.perRow) continue;
    const from = block.start + (row * block.perRow + column) * map.share;
    if (from >= block.end) continue;
    return { from, to: Math.min(from + map.share, block.end), block };
  }
  return null;
}

/** The corner of the cell that shows a leaf. */
export function cellOf(map: Waffle, leaf: number): { x: number; y: number } | null {
  const block = map.blocks.find((b) => leaf >= b.start && leaf < b.end);
  if (!block) return null;
  const cell = Math.floor((leaf - block.start) / map.share);
  return {
    x: block.x + (cell % block.perRow) * map.stride,
    y: block.y + Math.floor(cell / block.perRow) * map.pitch,
  };
}
