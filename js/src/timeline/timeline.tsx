// Cells, calls and compilations on an axis of time: a lane for each function, and a
// table under it.

import { useMemo, useRef, useState } from "preact/hooks";
import { Canvas, type Place, Tip, useWidth } from "../canvas";
import type { Store } from "../store/store";
import { Compilations } from "./compilations";
import { type Drawn, drawTimeline, LABEL, LANE, TOP } from "./draw";
import { lanes } from "./lanes";
import { Legend } from "./legend";
import { callAt, eventAt, tipOf } from "./pointer";
import { type Range, scaled, wholeOf } from "./range";

export function Timeline({ store, theme }: { store: Store; theme: number }) {
  const [ref, width] = useWidth();
  const [zoom, setZoom] = useState<Range | null>(null);
  const [brush, setBrush] = useState<Range | null>(null);
  const [at, setAt] = useState<Place | null>(null);
  const start = useRef<number | null>(null);
  const events = store.data.compilations.value;
  const findings = store.data.findings.value;
  const cells = store.data.timeline.value?.cells ?? [];
  const calls = store.data.calls.value;
  const subject = store.selection.subject.value;
  const all = useMemo(() => lanes(events, calls?.functions), [events, calls]);
  const whole = useMemo(() => wholeOf(events, findings, cells, calls), [events, findings, cells, calls]);
  const [from, to] = zoom ?? whole.range;
  const what: Drawn = {
    axis: whole.axis,
    from,
    to,
    width,
    height: TOP + all.length * LANE + 6,
    cells,
    lanes: all,
    events,
    calls,
    findings,
    picked: subject?.kind === "compilation" ? subject.index : -1,
    moment: store.selection.time.value,
    brush,
  };
  const shownAt = (x: number): number =>
    from + ((x - LABEL) * (to - from)) / (width - LABEL - 8);
  const dragged = (p: Place): boolean =>
    start.current !== null && Math.abs(p.x - start.current) > 4;
  const pick = (p: Place): void => {
    const event = eventAt(what, p);
    if (event >= 0) {
      store.navigate.toCompilation(event);
      return;
    }
    const call = callAt(what, p);
    if (call >= 0) store.navigate.toCall(calls?.call(call) ?? null);
  };
  const scale = (by: number): void => {
    const moment = what.moment ? what.axis.shown(what.moment) : 0;
    setZoom(scaled([from, to], by, moment, whole.range));
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget) return;
    if (act(event.key)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const act = (key: string): boolean => {
    if (key === "ArrowRight") store.navigate.toNextCompilation(1);
    else if (key === "ArrowLeft") store.navigate.toNextCompilation(-1);
    else if (key === "+" || key === "=") scale(1 / 2);
    else if (key === "-") scale(2);
    else if (key === "0") setZoom(null);
    else return false;
    return true;
  };
  return (
    <div
      class="jd-timeline"
      ref={ref}
      tabIndex={0}
      role="group"
      aria-label="Timeline. Left and right: from compilation to compilation. Plus, minus: zoom. 0: all."
      onKeyDown={onKey}
    >
      <div class="jd-bar">
        <h4>{events.length ? "Compilations" : "Calls"}</h4>
        <Legend store={store} />
        <span class="jd-space" />
        {zoom ? (
          <button type="button" class="jd-link" onClick={() => setZoom(null)}>
            show all
          </button>
        ) : (
          <small>drag to zoom</small>
        )}
      </div>
      <p class="jd-spent">{store.data.timeline.value?.headline}</p>
      <Canvas
        width={width}
        height={what.height}
        theme={theme}
        label={`Timeline of ${events.length} traces, lowerings and compilations${calls?.length ? `, and of ${calls.length} calls` : ""}. The table under it lists them.`}
        draw={(ctx, colours) => drawTimeline(ctx, colours, what)}
        onPoint={(p, e) => {
          setAt(p);
          const over = p && (eventAt(what, p) >= 0 || callAt(what, p) >= 0);
          (e.target as HTMLElement).style.cursor = over ? "pointer" : "";
          if (p && start.current !== null && dragged(p)) {
            const ends = [shownAt(start.current), shownAt(p.x)].sort((a, b) => a - b);
            setBrush(ends as Range);
          }
        }}
        onDown={(p, e) => {
          start.current = p.x;
          (e.target as HTMLElement).setPointerCapture?.(e.pointerId);
        }}
        onUp={(p) => {
          if (brush && dragged(p)) setZoom(brush);
          else pick(p);
          start.current = null;
          setBrush(null);
        }}
        onTwice={() => setZoom(null)}
      />
      <Tip at={at} lines={at && !brush ? tipOf(what, at) : []} />
      {events.length > 0 && <Compilations store={store} />}
    </div>
  );
}
