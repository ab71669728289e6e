// What the colours of the timeline mean.

import type { Store } from "../store/store";

export function Legend({ store }: { store: Store }) {
  const events = store.data.compilations.value;
  return (
    <span class="jd-legend">
      {(events.length ? ["trace", "lower", "compile"] : []).map((phase) => (
        <span key={phase}>
          <i class={`jd-swatch jd-${phase}`} /> {phase}
        </span>
      ))}
      {events.some((e) => e.reason && !e.reason.avoidable) && (
        <span>
          <i class="jd-swatch jd-again jd-once-more" /> again
        </span>
      )}
      {events.some((e) => e.reason?.avoidable) && (
        <span>
          <i class="jd-swatch jd-again" /> again, avoidable
        </span>
      )}
      {!!store.data.calls.value?.length && (
        <span>
          <i class="jd-swatch jd-call" /> call
        </span>
      )}
    </span>
  );
}
