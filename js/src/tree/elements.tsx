// The elements of a leaf as a heat map, reduced by the kernel so that one NaN is seen.

import { useEffect, useMemo, useState } from "preact/hooks";
import type { TileAnswer } from "../contract";
import type { Store } from "../store/store";
import { Heat } from "./heat";

export function LeafElements(props: { store: Store; path: string; theme: number }) {
  const { store } = props;
  const which = store.elements.of.value;
  const tile = store.elements.tile.value;
  useEffect(() => {
    const now = store.elements.tile.value;
    if (now.state === "none" || now.of !== which) store.elements.ask();
  }, [which, store]);
  const answer = tile.state === "there" && tile.of === which ? tile.answer : null;
  const picture = useMemo(() => pictureOf(store), [which, store]);
  const seen = answer && !answer.error ? answer : picture;
  if (!store.elements.hasKernel && !picture && !store.elements.source.value) return null;
  return (
    <section>
      <h4>Elements</h4>
      {seen && <Heat {...props} answer={seen} reduced={seen === picture} />}
      {!seen && !store.elements.hasKernel && <p class="jd-note">No picture is kept.</p>}
      {store.elements.hasKernel && !answer && <Waiting closer={picture !== null} />}
      {answer?.error && <p class="jd-note">{answer.error}</p>}
    </section>
  );
}

/** The picture in the report of a bad output of a failing call. */
function pictureOf(store: Store): TileAnswer | null {
  const source = store.elements.source.value;
  const picture = source?.outputs.picture(source.output);
  if (!picture) return null;
  return {
    ...picture,
    answer: "tile",
    id: 0,
    error: "",
    window: picture.shape.map((n): [number, number] => [0, n]),
    worst: { list: Array.from(picture.worst, Number) },
    values: [],
  };
}

/** Empty for a moment: most answers come at once. */
function Waiting({ closer }: { closer: boolean }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, []);
  const what = closer ? "a closer look comes" : "the elements come";
  return (
    <p class="jd-note jd-busy" role="status">
      {late ? `kernel busy – ${what} when the cell ends` : " "}
    </p>
  );
}
