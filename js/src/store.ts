// What is shown, selected and asked for. Views read signals, and call the actions.

import { batch, computed, effect, signal } from "@preact/signals";
import type {
  Finding,
  Live,
  PanelData,
  Report,
  TileAnswer,
  TileRequest,
  TimelineData,
  TreeData,
} from "./contract";
import { Calls } from "./timeline/calls";
import { birthIn } from "./tree/birth";
import {
  type Badness,
  type Call,
  Failed,
  GOOD,
  INF,
  type Module,
  NAN,
  Outputs,
  Tree,
} from "./tree/tree";

export type View = "map" | "icicle" | "table";
export type Paint = "badness" | "magnitude" | "headroom" | "change";
export type Subject =
  | { kind: "finding"; index: number }
  | { kind: "leaf" }
  | { kind: "compilation"; index: number };

/** How the store reaches the kernel; absent in a page without one. */
export interface Kernel {
  ask(request: TileRequest): void;
}

export type Store = ReturnType<typeof newStore>;

export function newStore(kernel: Kernel | null = null) {
  const title = signal("");
  const report = signal<Report | null>(null);
  /** The trees as they are now, and what failing calls gave, which is in none. */
  const held = signal<Tree[]>([]);
  const outputs = signal<Outputs[]>([]);
  const live = signal<Live | null>(null);
  /** The data of the trees, so that trees that did not change are not unpacked anew. */
  let treeData: TreeData[] = [];

  const shown = signal(0);
  const leaf = signal(-1);
  const subject = signal<Subject | null>(null);
  const call = signal<Call | null>(null);
  /** Whether to look at the trees as they are, where the call has failed. */
  const asItIs = signal(false);
  const view = signal<View>("map");
  const paint = signal<Paint>("badness");
  const query = signal("");
  const inside = signal<Scope | null>(null);
  const moment = signal<number | null>(null);
  const tile = signal<Tile>({ state: "none" });
  let followed = 0;
  let asked = 0;

  const given = computed(() => (asItIs.value ? null : givenAt(call.value)));
  const trees = computed(() => held.value.map((one) => asGiven(one, given.value)));
  const tree = computed(() => trees.value[shown.value] ?? null);
  /** The tree that is shown, as a failing call gave it; null where it is as it is. */
  const failed = computed(() => (tree.value instanceof Failed ? tree.value : null));
  const kept = computed(() => (asItIs.value ? -1 : (tree.value?.keptAt(call.value) ?? -1)));
  const bad = computed(() => tree.value?.bad(kept.value) ?? []);
  const root = computed(() => scoped(tree.value, inside.value));
  const findings = computed(() => report.value?.findings ?? []);
  const timeline = signal<TimelineData | null>(null);
  const compilations = computed(() => timeline.value?.events ?? []);
  const ran = computed(() => {
    const told = timeline.value;
    return told && new Calls(told.calls, report.value?.began ?? 0);
  });
  const found = computed(() => matches(tree.value, query.value));
  const calls = computed(() => tree.value?.history?.calls ?? []);
  const birth = computed(() => {
    const at = subject.value?.kind === "finding" ? subject.value.index : 0;
    return birthIn(tree.value, findings.value[at]);
  });

  function setData(data: PanelData): void {
    if (data.jaxdbg_panel !== 1) {
      throw new Error(
        `The panel reads format 1 and was given ${data.jaxdbg_panel}: ` +
          "reload the page, so that the panel is as new as jaxdbg in the kernel.",
      );
    }
    batch(() => {
      title.value = data.title;
      setReport(data.report);
      timeline.value = data.timeline;
      outputs.value = data.outputs.map((one) => new Outputs(one));
      setTrees(data.trees);
      follow();
    });
  }

  function setReport(next: Report | null): void {
    report.value = next;
  }

  /** What the call gave that has failed; null for a call that has not. */
  function givenAt(at: Call | null): Outputs | null {
    const there = outputs.value.find((one) => {
      const finding = findings.value[one.finding];
      return finding?.function === at?.function && finding?.call === at?.number;
    });
    return there ?? null;
  }

  /** A tree as a call gave it; what nothing holds is only in what some call gave. */
  function asGiven(one: Tree, at: Outputs | null): Tree {
    const found = at && one.after(at);
    if (found || one.known || one.history) return found ?? one;
    return outputs.value.map((any) => one.after(any)).find((any) => any !== null) ?? one;
  }

  /** The failing call whose results the tree that is shown can be compared with. */
  const comparable = computed(() => {
    const one = held.value[shown.value];
    if (!one?.known) return null;
    const at = givenAt(call.value);
    const all = at ? [at, ...outputs.value] : outputs.value;
    const found = all.find((any) => one.after(any) !== null);
    return (found && findings.value[found.finding]) ?? null;
  });

  /** From what the failing call gave to what is there, and back. */
  function turn(): void {
    const finding = comparable.value;
    if (!finding) return;
    batch(() => {
      asItIs.value = failed.value !== null;
      call.value = { function: finding.function, number: finding.call };
    });
  }

  function goToCall(next: Call | null): void {
    batch(() => {
      asItIs.value = false;
      call.value = next;
      moment.value = ran.value?.moment(next) ?? null;
    });
  }

  function setTrees(next: TreeData[]): void {
    const before = held.value;
    const name = tree.value?.name;
    const path = leaf.value >= 0 ? tree.value?.paths[leaf.value] : undefined;
    const made = next.map((data, i) => {
      const known = before[i];
      return known && treeData[i] === data ? known : new Tree(data);
    });
    treeData = next;
    held.value = made;
    const same = made.findIndex((t) => t.name === name);
    shown.value = same >= 0 ? same : firstBadTree(made);
    if (path !== undefined) leaf.value = made[shown.value]?.find(path) ?? -1;
  }

  /** A failure takes the reader to its place, once, when it comes. */
  function follow(): void {
    const count = findings.value.length;
    const fresh = findings.value.findIndex((f, i) => i >= followed && f.path !== "");
    if (count > followed) selectFinding(fresh >= 0 ? fresh : followed);
    if (count < followed) subject.value = null;
    followed = count;
  }

  function selectFinding(index: number): void {
    const finding = findings.value[index];
    if (!finding) return;
    batch(() => {
      subject.value = { kind: "finding", index };
      asItIs.value = false;
      for (const path of [finding.path, ...finding.paths]) {
        if (path && goTo(path)) break;
      }
      call.value = { function: finding.function, number: finding.call };
      moment.value = ran.value?.end(call.value) ?? (finding.time || null);
    });
  }

  /** Shows a leaf by its path, in whichever tree it is. */
  function goTo(path: string): boolean {
    const order = [shown.value, ...trees.value.keys()];
    for (const i of order) {
      const at = trees.value[i]?.find(path) ?? -1;
      if (at < 0) continue;
      batch(() => {
        shown.value = i;
        focusLeaf(at);
      });
      return true;
    }
    return false;
  }

  function focusLeaf(index: number): void {
    leaf.value = index;
    const module = root.value;
    if (module && (index < module.start || index >= module.end)) inside.value = null;
  }

  function selectLeaf(index: number): void {
    batch(() => {
      focusLeaf(index);
      subject.value = index >= 0 ? { kind: "leaf" } : null;
    });
  }

  function showTree(index: number): void {
    batch(() => {
      shown.value = index;
      inside.value = null;
      focusLeaf(-1);
      if (subject.value?.kind === "leaf") subject.value = null;
    });
  }

  function selectCompilation(index: number): void {
    const event = compilations.value[index];
    if (!event) return;
    batch(() => {
      subject.value = { kind: "compilation", index };
      moment.value = event.start;
    });
  }

  /** The next bad leaf in the order of the tree, or the one before; then around. */
  function nextBad(step: 1 | -1): void {
    const all = bad.value;
    if (!all.length) return;
    const at = leaf.value;
    const next =
      step > 0
        ? (all.find((i) => i > at) ?? all[0])
        : (all.findLast((i) => i < at) ?? all.at(-1));
    if (next !== undefined) selectLeaf(next);
  }

  function nextFound(): void {
    const all = found.value ?? [];
    const next = all.find((i) => i > leaf.value) ?? all[0];
    if (next !== undefined) selectLeaf(next);
  }

  function findingsOf(path: string): number[] {
    return findings.value.flatMap((f, i) =>
      f.path === path || f.paths.includes(path) ? [i] : [],
    );
  }

  /** The bad leaf of a failing call whose elements are shown; null: what is there. */
  const source = computed(() => {
    const at = failed.value?.place(leaf.value) ?? -1;
    return at < 0 || !failed.value ? null : { outputs: failed.value.outputs, at };
  });

  /** Whether the leaf is finite as it is now: a failing call has not reached it. */
  const goodNow = computed(
    () => held.value[shown.value]?.badness(leaf.value) === GOOD,
  );

  /** What a tile is of: it serves as long as this is looked at. */
  const looked = computed(() => {
    const finding = source.value?.outputs.finding ?? -1;
    return `${finding} ${leaf.value} ${tree.value?.name}`;
  });

  function askTile(window: [number, number][] = []): void {
    const t = tree.value;
    if (!kernel || !t || leaf.value < 0) return;
    asked += 1;
    const from = source.value;
    const path = (from ? from.outputs.leaves : t).paths[from ? from.at : leaf.value] ?? "";
    const finding = from ? from.outputs.finding : -1;
    tile.value = { state: "asked", id: asked, of: looked.value };
    try {
      kernel.ask({ ask: "tile", id: asked, tree: t.name, leaf: leaf.value, path, finding, window });
    } catch {
      tileCame({ id: asked, error: GONE } as TileAnswer); // restarted, or shut down
    }
  }

  function tileCame(answer: TileAnswer): void {
    const waiting = tile.value;
    if (waiting.state === "asked" && waiting.id === answer.id) {
      tile.value = { state: "there", answer, of: waiting.of };
    }
  }

  return {
    title,
    report,
    trees,
    live,
    shown,
    leaf,
    subject,
    call,
    view,
    paint,
    query,
    inside,
    moment,
    tile,
    tree,
    failed,
    comparable,
    source,
    looked,
    goodNow,
    given,
    asItIs,
    turn,
    goToCall,
    kept,
    bad,
    root,
    findings,
    compilations,
    timeline,
    ran,
    found,
    calls,
    birth,
    hasKernel: kernel !== null,
    setData,
    selectFinding,
    selectLeaf,
    selectCompilation,
    showTree,
    goTo,
    nextBad,
    nextFound,
    findingsOf,
    askTile,
    tileCame,
    effect,
  };
}

const GONE = "The kernel of this panel is gone: run the cell again to see elements.";

/** A part of a tree that is looked at alone. */
export interface Scope {
  path: string;
  label: string;
  start: number;
  end: number;
}

export type Tile =
  | { state: "none" }
  | { state: "asked"; id: number; of: string }
  | { state: "there"; answer: TileAnswer; of: string };

/** What a finding says of the leaves it names. */
export function badnessOf(finding: Finding): Badness {
  if (finding.kind === "nan") return NAN;
  return finding.kind === "inf" ? INF : GOOD;
}

function firstBadTree(trees: Tree[]): number {
  const bad = trees.findIndex((t) => t.bad().length > 0);
  return Math.max(bad, 0);
}

/** The leaves whose paths hold every word of a query; null for an empty query. */
export function matches(tree: Tree | null, query: string): number[] | null {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!tree || !words.length) return null;
  const found: number[] = [];
  tree.paths.forEach((path, i) => {
    const text = path.toLowerCase();
    if (words.every((w) => text.includes(w))) found.push(i);
  });
  return found;
}

/** The module that a scope is, or the part of one, as the root of what is shown. */
export function scoped(tree: Tree | null, scope: Scope | null): Module | null {
  if (!tree) return null;
  let module = tree.modules();
  if (!scope) return module;
  const { start, end } = scope;
  for (;;) {
    const inner = module.children.find((c) => c.start <= start && c.end >= end);
    if (!inner) break;
    module = inner;
    if (module.start === start && module.end === end) return module;
  }
  const children = module.children.filter((c) => c.start >= start && c.end <= end);
  return { ...module, start, end, children };
}
