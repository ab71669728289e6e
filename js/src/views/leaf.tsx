// One leaf: its numbers, its line over the calls, its findings, its elements.

import { useState } from "preact/hooks";
import type { Store } from "../store";
import { bytes, count, element, number } from "../text";
import type { Tree } from "../tree";
import { Glyph, inWords } from "./findings";
import { badCounts } from "./map";
import { Spark } from "./spark";
import { Mark } from "./table";
import { Elements } from "./tile";

export function LeafDetails({ store, theme }: { store: Store; theme: number }) {
  const tree = store.tree.value as Tree;
  const leaf = store.leaf.value;
  const path = tree.paths[leaf] ?? "";
  const kept = store.kept.value;
  const history = tree.history;
  const series = history?.largest.map((call) => call[leaf] ?? NaN);
  return (
    <div class="jd-leaf">
      <h3>
        <Mark bad={tree.badness(leaf, kept)} /> <code>{path}</code> <Copy text={path} />
      </h3>
      <p class="jd-note">{describe(tree, leaf)}</p>
      {tree.isOnlyMarked(leaf) && <Kept store={store} path={path} />}
      <Facts tree={tree} leaf={leaf} />
      {series && series.length > 1 && (
        <section>
          <h4>Largest |x| over the calls</h4>
          <Spark
            values={series}
            bad={(i) => (history?.bad[i]?.[leaf] ?? 0) > 0}
            at={kept}
            onPick={(i) => (store.call.value = tree.callAt(i))}
          />
        </section>
      )}
      <Touching store={store} path={path} />
      <Elements store={store} path={path} theme={theme} />
    </div>
  );
}

/** A failing call is stopped before it updates what it was given. */
function Kept({ store, path }: { store: Store; path: string }) {
  const finding = store.findings.value.find((f) => f.paths.includes(path));
  const reached = finding?.origin?.reached.find((r) => r.path === path);
  const what = reached ? `${count(reached.bad)} of ${count(reached.size)} elements` : "it";
  return (
    <p class="jd-advice">
      The failing call made {what} bad. The leaf still holds its last good values; these
      are shown here.
    </p>
  );
}

function describe(tree: Tree, leaf: number): string {
  const dtype = tree.text("dtype", leaf);
  const shape = tree.text("shape", leaf);
  return [
    tree.text("group", leaf),
    dtype && `${dtype}[${shape}]`,
    tree.known && bytes(tree.number("nbytes", leaf)),
    tree.text("sharding", leaf),
  ]
    .filter(Boolean)
    .join(" · ");
}

function Facts({ tree, leaf }: { tree: Tree; leaf: number }) {
  if (!tree.known) return null;
  const kind = tree.text("kind", leaf);
  if (kind !== "float" && kind !== "complex" && kind !== "int") {
    return <p class="jd-note">It can hold no NaN and no Inf.</p>;
  }
  const first = tree.data.first_bad[String(leaf)];
  const bad = badCounts(tree, leaf);
  if (!tree.number("detailed", leaf) && !bad) {
    return <p class="jd-note">All {count(tree.number("size", leaf))} elements are finite.</p>;
  }
  const share = (n: number): string =>
    n ? `${count(n)} of ${count(tree.number("size", leaf))}` : "0";
  const rows: [string, string][] = [
    ["NaN, Inf", bad || "none"],
    ["zeros", share(tree.number("zeros", leaf))],
    ["subnormal", share(tree.number("subnormals", leaf))],
    ["|x|", `${number(tree.number("smallest", leaf))} … ${number(tree.number("largest", leaf))}`],
    ["mean ± std", `${number(tree.number("mean", leaf))} ± ${number(tree.number("std", leaf))}`],
    ["head-room", headroom(tree.number("headroom", leaf))],
  ];
  if (first) rows.splice(1, 0, ["first bad", element(tree.paths[leaf] ?? "", first)]);
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

function headroom(bits: number): string {
  return Number.isNaN(bits) ? "–" : `${bits.toFixed(1)} bits below the type's limit`;
}

function Touching({ store, path }: { store: Store; path: string }) {
  const touching = store.findingsOf(path);
  if (!touching.length) return null;
  return (
    <section>
      <h4>Findings that touch it</h4>
      {touching.slice(0, 6).map((i) => {
        const finding = store.findings.value[i];
        return (
          finding && (
            <button key={i} type="button" class="jd-link" onClick={() => store.selectFinding(i)}>
              <Glyph finding={finding} /> {inWords(finding)}
            </button>
          )
        );
      })}
    </section>
  );
}

export function Copy({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const copy = (): void => {
    void copyText(text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1200);
    });
  };
  return (
    <button type="button" class="jd-copy" title={`copy ${text}`} onClick={copy}>
      {done ? "copied" : "copy"}
    </button>
  );
}

/** The clipboard of a page without https is the old one. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
