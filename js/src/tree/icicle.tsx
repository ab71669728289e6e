// The structure: modules from the outside in, each as wide as it has leaves.

import { useMemo, useState } from "preact/hooks";
import { GOOD, INF, NAN } from "../badness";
import { Canvas, MONO, type Place, Tip, useWidth } from "../canvas";
import type { Store } from "../store/store";
import { count } from "../text";
import type { Colours } from "../theme";
import { drawBad, leafColour, scale } from "./colouring";
import { leafTip } from "./describe";
import type { Module } from "./modules";
import { icicle } from "./slabs";
import type { Tree } from "./tree";

const HEIGHT = 240;

export function Icicle({ store, theme }: { store: Store; theme: number }) {
  const [ref, width] = useWidth();
  const [at, setAt] = useState<Place | null>(null);
  const tree = store.shown.tree.value as Tree;
  const root = store.shown.root.value as Module;
  const plan = useMemo(() => icicle(root, width, HEIGHT), [root, width]);
  const snapshot = store.shown.snapshot.value;
  const leaf = store.selection.leaf.value;
  const paint = store.view.paint.value;
  const leafAt = (x: number): number =>
    Math.min(root.end - 1, root.start + Math.floor((x / width) * (root.end - root.start)));
  const slabAt = (p: Place) =>
    plan.slabs.find(
      (s) => p.x >= s.x && p.x < s.x + s.width && p.y >= s.y && p.y < s.y + s.height,
    );
  const draw = (ctx: CanvasRenderingContext2D, colours: Colours): void => {
    ctx.font = `11px ${MONO}`;
    for (const s of plan.slabs) {
      const worst = tree.worst(s.module.start, s.module.end, snapshot);
      ctx.fillStyle = colours.unknown;
      ctx.fillRect(s.x, s.y, Math.max(s.width - 1, 0.5), s.height - 1);
      if (worst !== GOOD) drawBad(ctx, worst, s.x, s.y + s.height - 5, 4, colours);
      if (s.width < 24) continue;
      ctx.fillStyle = worst === GOOD ? colours.dim : colours.text;
      const most = Math.floor((s.width - 8) / 6.7);
      ctx.fillText(s.module.name.replace(/^\./, "").slice(0, most), s.x + 4, s.y + 14);
    }
    const good = scale(tree, paint, snapshot, colours);
    const each = width / (root.end - root.start);
    const tall = plan.height - plan.leaves.y;
    const step = Math.max(1, Math.floor(1 / each));
    const bad: [typeof INF | typeof NAN, number][] = [];
    for (let i = root.start; i < root.end; i += step) {
      const worst = tree.worst(i, Math.min(i + step, root.end), snapshot);
      const x = (i - root.start) * each;
      if (worst !== GOOD) bad.push([worst, x]);
      ctx.fillStyle = leafColour(tree, i, snapshot, good, colours);
      ctx.fillRect(x, plan.leaves.y, Math.max(each * step - (each > 3 ? 1 : 0), 1), tall);
    }
    for (const [kind, x] of bad) {
      ctx.fillStyle = kind === NAN ? colours.nan : colours.inf;
      ctx.fillRect(x, plan.leaves.y, Math.max(each - (each > 3 ? 1 : 0), 3), tall);
      if (each >= 9) drawBad(ctx, kind, x + (each - 10) / 2, plan.leaves.y + 8, 10, colours);
    }
    if (leaf >= root.start && leaf < root.end) {
      ctx.strokeStyle = colours.text;
      ctx.lineWidth = 2;
      ctx.strokeRect((leaf - root.start) * each, plan.leaves.y + 1, Math.max(each, 4), tall - 2);
    }
  };
  const tip = (p: Place): string[] => {
    if (p.y >= plan.leaves.y) return leafTip(tree, leafAt(p.x));
    const slab = slabAt(p);
    if (!slab) return [];
    const { path, name, start, end } = slab.module;
    return [path || name, `${count(end - start)} leaves · click to go in`];
  };
  const goInto = (module?: Module): void => {
    if (!module) return;
    const { path, name, start, end, depth } = module;
    store.selection.scope.value = depth ? { path, label: path || name, start, end } : null;
  };
  const pick = (p: Place): void => {
    if (p.y >= plan.leaves.y) store.navigate.toLeaf(leafAt(p.x));
    else goInto(slabAt(p)?.module);
  };
  return (
    <div class="jd-map" ref={ref}>
      <Canvas
        width={width}
        height={plan.height}
        theme={theme}
        label={`Modules of ${tree.name}, ${count(tree.length)} leaves wide. The table lists them.`}
        draw={draw}
        onPoint={(p) => setAt(p)}
        onPick={pick}
      />
      <Tip at={at} lines={at ? tip(at) : []} />
    </div>
  );
}
