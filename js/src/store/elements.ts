// The elements of the selected leaf: the kernel reduces them to a tile.

import { computed, signal } from "@preact/signals";
import type { TileAnswer, TileRequest } from "../contract";
import type { Selection } from "./selection";
import type { Shown } from "./shown";

/** How the panel reaches the kernel; absent in a page without one. */
export interface Kernel {
  ask(request: TileRequest): void;
}

/** `of` says which elements they are: a tile serves as long as these are shown. */
export type Tile =
  | { state: "none" }
  | { state: "asked"; id: number; of: string }
  | { state: "there"; answer: TileAnswer; of: string };

const GONE = "The kernel of this panel is gone: run the cell again to see elements.";

export class Elements {
  readonly hasKernel: boolean;
  readonly tile = signal<Tile>({ state: "none" });
  private requests = 0;

  constructor(
    private readonly selection: Selection,
    private readonly shown: Shown,
    private readonly kernel: Kernel | null,
  ) {
    this.hasKernel = kernel !== null;
  }

  /** The bad output whose elements are shown; null for the elements of the tree now. */
  readonly source = computed(() => {
    const failed = this.shown.failed.value;
    const output = failed?.outputOf(this.selection.leaf.value) ?? -1;
    return output < 0 || !failed ? null : { outputs: failed.outputs, output };
  });
  /** Which elements are shown. */
  readonly of = computed(() => {
    const finding = this.source.value?.outputs.finding ?? -1;
    return `${finding} ${this.selection.leaf.value} ${this.shown.tree.value?.name}`;
  });

  /** Asks for a window of the elements; for all of them without one. */
  ask(window: [number, number][] = []): void {
    const request = this.request(window);
    if (!this.kernel || !request) return;
    this.tile.value = { state: "asked", id: request.id, of: this.of.value };
    try {
      this.kernel.ask(request);
    } catch {
      this.receive({ id: request.id, error: GONE } as TileAnswer); // restarted, or shut down
    }
  }

  private request(window: [number, number][]): TileRequest | null {
    const tree = this.shown.tree.value;
    const leaf = this.selection.leaf.value;
    if (!tree || leaf < 0) return null;
    const source = this.source.value;
    const path = source ? source.outputs.leaves.paths[source.output] : tree.paths[leaf];
    const finding = source ? source.outputs.finding : -1;
    this.requests += 1;
    return { ask: "tile", id: this.requests, tree: tree.name, leaf, path: path ?? "", finding, window };
  }

  /** An answer to an earlier request is too late. */
  receive(answer: TileAnswer): void {
    const waiting = this.tile.value;
    if (waiting.state === "asked" && waiting.id === answer.id) {
      this.tile.value = { state: "there", answer, of: waiting.of };
    }
  }
}
