// What the colours of the map mean.

import type { Store } from "../store/store";
import { coloursOf } from "../theme";
import { scale } from "./colouring";
import type { Tree } from "./tree";
import type { Waffle } from "./waffle";

interface LegendProps {
  store: Store;
  tree: Tree;
  map: Waffle;
  element: HTMLElement | null;
}

export function Legend({ store, tree, map, element }: LegendProps) {
  const paint = store.view.paint.value;
  return (
    <div class="jd-legend">
      <span>
        <i class="jd-glyph jd-nan">N</i> NaN
      </span>
      <span>
        <i class="jd-glyph jd-inf">∞</i> Inf
      </span>
      {paint === "badness" ? (
        <span>
          <i class="jd-swatch jd-good" /> finite
        </span>
      ) : (
        element && <Ramp store={store} tree={tree} element={element} />
      )}
      <span>
        <i class="jd-swatch jd-unknown" /> holds no floats, or is not known
      </span>
      {store.shown.birth.value && (
        <span>
          <i class="jd-swatch jd-birth" /> born in {store.shown.birth.value.module}
        </span>
      )}
      <span class="jd-space" />
      {map.share > 1 && <span>a cell is {map.share} leaves; a click on a module goes in</span>}
    </div>
  );
}

interface RampProps {
  store: Store;
  tree: Tree;
  element: HTMLElement;
}

function Ramp({ store, tree, element }: RampProps) {
  const paint = store.view.paint.value;
  const found = scale(tree, paint, store.shown.snapshot.value, coloursOf(element));
  if (!found) return <span>nothing to compare with at this call</span>;
  const stops = found.ramp.filter((_, i) => i % 4 === 0 || i === found.ramp.length - 1);
  return (
    <span>
      {found.low}{" "}
      <i class="jd-ramp" style={{ background: `linear-gradient(90deg, ${stops.join(",")})` }} />{" "}
      {found.high}
    </span>
  );
}
