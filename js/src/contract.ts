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

export interface Finding {
  kind: string;
  function: string;
  call: number;
  path: string;
  paths: string[];
  index: number[];
  shape: number[];
  dtype: string;
  nan: number;
  inf: number;
  size: number;
  location: string;
  time: number;
  allow: string;
  allow_at: string;
}

/** What a finding says; the words are those of `jaxdbg/views/panel/stories.py`. */
export interface StoryData {
  /** `overflow of exp in jnp.exp`; names are between backquotes. */
  what: string;
  /** Place, module and call. */
  where: string;
  /** `NaN in 84 leaves: all of model, all of opt`. */
  effect: string;
  /** The module in which the value was born; empty where it is not known. */
  module: string;
  sections: SectionData[];
  /** The largest magnitude in the last calls. */
  growth: Real[];
  /** The leaves it has reached, each with how much of it is bad. */
  leaves: [path: string, what: string][];
  /** `3 more leaves`: how many are not listed. */
  more: string;
  /** All that is said of a finding without an origin. */
  text: string;
}

export interface SectionData {
  title: string;
  role: "birth" | "fix" | "";
  lines: string[];
  frames: FrameData[];
}

export interface FrameData {
  said: string;
  /** The place as lines name it. */
  place: string;
  frame: SourceFrame;
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
  /** What each finding of the report says. */
  stories: StoryData[];
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
