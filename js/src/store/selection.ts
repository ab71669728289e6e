// What is selected.

import { signal } from "@preact/signals";
import type { Call } from "../call";
import type { Scope } from "../tree/modules";

/** What the details are about. */
export type Subject = { kind: "leaf" } | { kind: "compilation"; index: number };

export class Selection {
  /** The position of a tree, and of a leaf in it; -1 for none. */
  readonly tree = signal(0);
  readonly leaf = signal(-1);
  /** The part of the tree that is shown alone. */
  readonly scope = signal<Scope | null>(null);
  readonly subject = signal<Subject | null>(null);
  /** The position of the finding whose story is open; -1 for none. */
  readonly finding = signal(-1);
  readonly call = signal<Call | null>(null);
  /** Whether trees are shown as they are now, whichever call is selected. */
  readonly now = signal(false);
  /** A moment on the timeline, in seconds since the epoch. */
  readonly time = signal<number | null>(null);
}
