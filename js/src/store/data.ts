// What the kernel has sent.

import { batch, computed, signal } from "@preact/signals";
import type { Call } from "../call";
import type { Live, PanelData, Report, StoryData, TimelineData } from "../contract";
import { Calls } from "../timeline/calls";
import { BadOutputs } from "../tree/bad_outputs";
import { Tree } from "../tree/tree";

export class Data {
  readonly title = signal("");
  readonly report = signal<Report | null>(null);
  readonly stories = signal<readonly StoryData[]>([]);
  readonly timeline = signal<TimelineData | null>(null);
  readonly live = signal<Live | null>(null);
  /** The trees as they are now. */
  readonly trees = signal<readonly Tree[]>([]);
  /** The bad outputs of failing calls, which may be in no tree now. */
  readonly outputs = signal<readonly BadOutputs[]>([]);

  readonly findings = computed(() => this.report.value?.findings ?? []);
  readonly compilations = computed(() => this.timeline.value?.events ?? []);
  readonly calls = computed(() => {
    const calls = this.timeline.value?.calls;
    return calls ? new Calls(calls, this.report.value?.began ?? 0) : null;
  });

  set(data: PanelData): void {
    if (data.jaxdbg_panel !== 1) {
      throw new Error(
        `The panel reads format 1 and received format ${data.jaxdbg_panel}: ` +
          "reload the page, so that the panel is as new as jaxdbg in the kernel.",
      );
    }
    batch(() => {
      this.title.value = data.title;
      this.report.value = data.report;
      this.stories.value = data.stories;
      this.timeline.value = data.timeline;
      this.outputs.value = data.outputs.map((one) => new BadOutputs(one));
      this.trees.value = data.trees.map((one) => new Tree(one));
    });
  }

  /** The bad outputs of a call, if it has failed. */
  outputsOf(call: Call | null): BadOutputs | null {
    const found = this.outputs.value.find(({ finding }) => {
      const failed = this.findings.value[finding];
      return failed?.function === call?.function && failed?.call === call?.number;
    });
    return found ?? null;
  }

  /** The numbers of the findings that name a leaf. */
  findingsOf(path: string): number[] {
    return this.findings.value.flatMap((f, i) =>
      f.path === path || f.paths.includes(path) ? [i] : [],
    );
  }
}
