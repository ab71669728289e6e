// The contract between Python and the panel: the JSON that jaxdbg/views/panel/data.py writes.
//
// The records have the names and the fields of `jaxdbg.records`, which documents them;
// tests/views/panel/test_data.py compares the two. A number that is not finite is written
// as its text ("nan", "inf", "-inf"), since JSON has none.

export interface SourceFrame {
  file: string;
  line: number;
  function: string;
  code: string;
  cell: number | null;
  column: number;
  end_line: number;
  end_column: number;
}

export type Real = number | string;
export type Loop = [kind: string, iteration: number, length: number | null];

export interface Operand {
  name: string;
  role: string;
  shape: number[];
  dtype: string;
  low: Real | null;
  high: Real | null;
  size: number;
  zeros: number;
  negatives: number;
  subnormals: number;
  nan: number;
  posinf: number;
  neginf: number;
  element: number[] | null;
  value: string;
}

export interface Turn {
  kind: string;
  primitive: string;
  source: SourceFrame | null;
  module: string;
  direction: string;
  loop: Loop[];
  text: string;
}

export interface Reached {
  path: string;
  bad: number;
  size: number;
  kinds: string[];
  first: number[] | null;
}

export interface Passed {
  parameter: string;
  expression: string;
  row: number | null;
  data: string;
  data_row: number | null;
}

export interface Origin {
  verdict: string;
  kind: string;
  primitive: string;
  expression: string;
  source: SourceFrame | null;
  library_source: SourceFrame | null;
  module: string;
  direction: string;
  forward_source: SourceFrame | null;
  loop: Loop[];
  branches: [index: number, count: number][];
  operands: Operand[];
  element: number[] | null;
  steps: Turn[];
  reached: Reached[];
  rows: [name: string, row: number][];
  rows_note: string;
  device: string;
  wider: string;
  argument: string;
  argument_leaf: string;
  passed: Passed[];
  made_by: string;
  made_at: Origin | null;
  growth: Real[];
  cause: string | null;
  likely: boolean;
  advice: string;
  notes: string[];
  headline: string;
  candidate: boolean;
  others: Turn[];
  spread: boolean;
  frames: CallFrame[];
  frames_note: string;
}

export interface CallFrame {
  source: SourceFrame;
  values: LocalValue[];
  left_out: string[];
}

export interface LocalValue {
  name: string;
  type: string;
  text: string;
  array: Operand | null;
  batch_axes: number[];
}

export interface Finding {
  kind: string;
  function: string;
  call: number;
  message: string;
  path: string;
  paths: string[];
  index: number[];
  shape: number[];
  dtype: string;
  nan: number;
  inf: number;
  size: number;
  location: string;
  origin: Origin | null;
  time: number;
  allow: string;
  allow_at: string;
}

export interface Reason {
  cause: string;
  where: string;
  before: string;
  after: string;
  others: string[];
  avoidable: boolean | null;
  advice: string;
  note: string;
  before_type?: ArrayType | null;
  after_type?: ArrayType | null;
}

/** The type of an array argument: `f32`, and its shape. */
export interface ArrayType {
  dtype: string;
  shape: (number | string)[];
}

export interface CompileEvent {
  function: string;
  phase: string;
  start: number;
  duration: number;
  self_time: number;
  thread: string;
  parent: number;
  source: SourceFrame | null;
  defined: string;
  cell: number | null;
  signature: Record<string, string>;
  reason: Reason | null;
  cache: string;
  saved: number;
  user: boolean;
  failed: boolean;
  role: string;
}

export interface Remark {
  function: string;
  reason: Reason;
  defined: string;
  source: SourceFrame | null;
  cell: number | null;
}

export interface Allowed {
  kind: string;
  where: string;
  count: number;
}

export interface Report {
  calls: number;
  eager_ops: number;
  calls_by_function: Record<string, number>;
  traces: Record<string, number>;
  compiles: Record<string, number>;
  retraces: string[];
  library_compiles: number;
  findings: Finding[];
  placed: string[];
  notices: string[];
  seconds: number;
  compile_seconds: number;
  check_seconds: number;
  origin_seconds: number;
  cell: number | null;
  options: string;
  remarks: Remark[];
  began: number;
  unchecked: Record<string, number>;
  allowed: Allowed[];
}

/**
 * Numbers, one for each leaf: all the same but some, as they are, or as the base64 of
 * little-endian binary numbers. A number that is not there is null or NaN.
 */
export type Column =
  | { same: number | null; but?: Record<string, number | null> }
  | { list: (number | null)[] }
  | { f32: string }
  | { f64: string };

/** Texts, one for each leaf, of which there are few different ones. */
export interface Coded {
  table: string[];
  index: Column;
}

/** The leaves of one tree, column by column; see `LeafStats` and `TreeHistory`. */
export interface TreeData {
  name: string;
  seconds: number;
  /** After which call of a region the statistics were taken; empty for none. */
  call: string;
  paths: string[];
  /** Whether there are statistics; else only the history is known. */
  known: boolean;
  /** Other paths to a leaf, with its number. */
  also: Record<string, number>;
  group: Coded;
  kind: Coded;
  shape: Coded;
  dtype: Coded;
  sharding: Coded;
  nbytes: Column;
  size: Column;
  nan: Column;
  posinf: Column;
  neginf: Column;
  zeros: Column;
  subnormals: Column;
  smallest: Column;
  largest: Column;
  mean: Column;
  std: Column;
  headroom: Column;
  detailed: Column;
  /** Index of the first bad element, by number of the leaf. */
  first_bad: Record<string, number[]>;
  history: HistoryData | null;
}

/** A column for each recorded call. */
export interface HistoryData {
  calls: number[];
  functions: string[];
  largest: Column[];
  bad: Column[];
  /** How many of the bad elements are NaN; empty where that was not recorded. */
  nan: Column[];
  first_bad: number;
  first_bad_call: number;
}

/** The bad outputs of a failing call, and pictures of some of them. */
export interface OutputsData {
  /** Number of the finding, from 0. */
  finding: number;
  leaves: TreeData;
  pictures: PictureData[];
}

/** The elements of a leaf, reduced; see `LeafPicture`. */
export interface PictureData {
  path: string;
  shape: number[];
  axes: [number, number];
  step: [number, number];
  rows: number;
  columns: number;
  /** A digit for each cell: 0 good, 1 infinite, 2 NaN. */
  worst: string;
  largest: Column;
}

/** When calls of the user's functions ran, in seconds after `began` of the report. */
export interface CallsData {
  functions: string[];
  length: number;
  /** For each call its function, as an index into `functions`. */
  which: Column;
  numbers: Column;
  starts: Column;
  seconds: Column;
  /** One call, the slowest, is recorded of this many. */
  share: number;
}

export interface Cell {
  name: string;
  start: number;
  end: number;
}

export interface TimelineData {
  events: CompileEvent[];
  /** The time spent, and the avoidable part of it, in one line. */
  headline: string;
  /** Seconds of avoidable compilations. */
  lost: number;
  cells: Cell[];
  calls: CallsData;
}

export interface PanelData {
  jaxdbg_panel: 1;
  title: string;
  report: Report | null;
  trees: TreeData[];
  timeline: TimelineData;
  outputs: OutputsData[];
}

/** What is sent while a cell runs. */
export interface Live {
  running: boolean;
  calls: number;
  function: string;
  call: number;
  rate: number;
  seconds: number;
}

/** A request to the kernel, and its answer; the same `id` joins the two. */
export interface TileRequest {
  ask: "tile";
  id: number;
  tree: string;
  leaf: number;
  path: string;
  /** Number of the finding of whose bad outputs it is; -1 for the tree as it is now. */
  finding: number;
  /** For each axis the range [from, to) that is asked for. */
  window: [number, number][];
}

export interface TileAnswer {
  answer: "tile";
  id: number;
  error: string;
  rows: number;
  columns: number;
  /** Which axes go down and across. */
  axes: [number, number];
  /** How many elements a cell takes, down and across. */
  step: [number, number];
  shape: number[];
  window: [number, number][];
  /** Largest finite magnitude of each cell of the tile. */
  largest: Column;
  /** 0 good, 1 infinite, 2 NaN: the worst of each cell. */
  worst: Column;
  /** The elements themselves, where each cell is one; else empty. */
  values: string[];
}
