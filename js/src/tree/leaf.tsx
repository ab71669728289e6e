// One leaf: its numbers, its line over the calls, its findings, its elements.

import { Copy } from "../copy";
import { FindingGlyph, LeafGlyph } from "../glyph";
import { Prose } from "../prose";
import { Spark } from "../spark";
import type { Store } from "../store/store";
import { bytes, count, number } from "../text";
import { expressionOf } from "./expression";
import { badCounts } from "./describe";
import { LeafElements } from "./elements";
import type { Tree } from "./tree";

export function LeafDetails({ store, theme }: { store: Store; theme: number }) {
  const tree = store.shown.tree.value as Tree;
  const leaf = store.selection.leaf.value;
  const path = tree.paths[leaf] ?? "";
  const snapshot = store.shown.snapshot.value;
  const history = tree.history;
  const bad = tree.badness(leaf, snapshot);
  // Of a bad leaf the elements come first: they show where it is bad.
  const elements = <LeafElements store={store} path={path} theme={theme} />;
  const series = history?.largest.map((call) => call[leaf] ?? NaN);
  return (
    <div class="jd-leaf">
      <h3>
        <LeafGlyph bad={bad} /> <code>{path}</code>{" "}
        <Copy {...expressionOf(store, path)} />
      </h3>
      <p class="jd-note">{describe(tree, leaf)}</p>
      <Shown store={store} />
      {tree.data.call && !store.elements.source.value && (
        <p class="jd-note">As of {tree.data.call}:</p>
      )}
      {bad > 0 && elements}
      <Facts tree={tree} leaf={leaf} />
      {series && series.length > 1 && (
        <section>
          <h4>Largest |x| over the calls</h4>
          <Spark
            values={series}
            bad={(i) => (history?.bad[i]?.[leaf] ?? 0) > 0}
            at={snapshot}
            onPick={(i) => store.navigate.toCall(tree.callOf(i))}
          />
        </section>
      )}
      <Touching store={store} path={path} />
      {bad > 0 || elements}
    </div>
  );
}

/** Whose numbers and elements they are: the failing call's, or those of the tree now. */
function Shown({ store }: { store: Store }) {
  const { comparable, failed, goodNow } = store.shown;
  const source = store.elements.source.value;
  const from = source && store.data.findings.value[source.outputs.finding];
  const other = comparable.value;
  if (!from && !other) return null;
  const now = goodNow.value ? "The last good values, as they are now." : "As it is now.";
  const output = `What call ${count((from ?? other)?.call ?? 0)} gave`;
  return (
    <p class="jd-advice jd-shown" role="status">
      {from && `${output}${other || failed.value?.history ? "" : ", which no tree holds"}.`}
      {!from && (failed.value ? `As it is now. ${output} for it was finite, and is not kept.` : now)}
    </p>
  );
}

function describe(tree: Tree, leaf: number): string {
  const dtype = tree.text("dtype", leaf);
  const shape = tree.text("shape", leaf);
  return [
    tree.text("group", leaf),
    dtype && `${dtype}[${shape}]`,
    tree.knows(leaf) && bytes(tree.number("nbytes", leaf)),
    tree.text("sharding", leaf),
  ]
    .filter(Boolean)
    .join(" · ");
}

function Facts({ tree, leaf }: { tree: Tree; leaf: number }) {
  if (!tree.knows(leaf)) return null;
  const kind = tree.text("kind", leaf);
  if (kind !== "float" && kind !== "complex" && kind !== "int") {
    return <p class="jd-note">It can hold no NaN and no Inf.</p>;
  }
  const first = tree.firstBad(leaf);
  const bad = badCounts(tree, leaf);
  const detailed = tree.number("detailed", leaf) > 0;
  if (!detailed && !bad) {
    return <p class="jd-note">All {count(tree.number("size", leaf))} elements are finite.</p>;
  }
  const share = (n: number): string =>
    n ? `${count(n)} of ${count(tree.number("size", leaf))}` : "0";
  const measured: [string, string][] = [
    ["zeros", share(tree.number("zeros", leaf))],
    ["subnormal", share(tree.number("subnormals", leaf))],
    ["|x|", `${number(tree.number("smallest", leaf))} … ${number(tree.number("largest", leaf))}`],
    ["mean ± std", `${number(tree.number("mean", leaf))} ± ${number(tree.number("std", leaf))}`],
    ["head-room", headroom(tree.number("largest", leaf), tree.number("headroom", leaf))],
  ];
  const rows: [string, string][] = [["NaN, Inf", bad || "none"]];
  if (first?.length) rows.push(["first bad at", `[${first.join(", ")}]`]);
  if (detailed && tree.number("largest", leaf) >= 0) rows.push(...measured);
  return (
    <dl class="jd-numbers">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** `max 0.19, overflow at 3.40e38`. */
function headroom(largest: number, bits: number): string {
  if (!(largest > 0) || Number.isNaN(bits)) return "–";
  const limit = Math.min(largest * 2 ** bits, Number.MAX_VALUE);
  return `max ${number(largest)}, overflow at ${number(limit)}`;
}

function Touching({ store, path }: { store: Store; path: string }) {
  const touching = store.data.findingsOf(path);
  if (!touching.length) return null;
  return (
    <section>
      <h4>Findings that touch it</h4>
      {touching.slice(0, 6).map((i) => {
        const finding = store.data.findings.value[i];
        const story = store.data.stories.value[i];
        return (
          finding &&
          story && (
            <button key={i} type="button" class="jd-link" onClick={() => store.navigate.toFinding(i)}>
              <FindingGlyph finding={finding} /> <Prose text={story.what} />
            </button>
          )
        );
      })}
    </section>
  );
}
