// The structure: modules from the outside in, each as wide as it has leaves.

import { useMemo, useState } from "preact/hooks";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import type { Store } from "../store/store";
import { count } from "../text";
import type { Colours } from "../theme";
import { scale } from "./colouring";
import { leafTip } from "./describe";
import type { Module } from "./modules";
import { drawIcicle } from "./draw_icicle";
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
    const good = scale(tree, paint, snapshot, colours);
    drawIcicle(ctx, { plan, root, tree, snapshot, good, colours, leaf });
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
