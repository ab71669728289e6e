// How a tree is shown.

import { signal } from "@preact/signals";

export type Layout = "map" | "icicle" | "table";
export type Paint = "badness" | "magnitude" | "headroom" | "change";

export class View {
  readonly layout = signal<Layout>("map");
  /** What the colour of a good leaf says. */
  readonly paint = signal<Paint>("badness");
  /** Words that the paths of leaves are searched for. */
  readonly query = signal("");
  /** Whether the keys and the words are explained. */
  readonly help = signal(false);
}
