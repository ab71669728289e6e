// One line: what this is, how it went, what it cost.

import type { Live } from "./contract";
import type { Store } from "./store/store";
import type { Tree } from "./tree/tree";
import { count, seconds, some, unchecked } from "./text";

export function Header({ store }: { store: Store }) {
  const report = store.data.report.value;
  const live = store.data.live.value;
  return (
    <div class="jd-header">
      <Verdict store={store} />
      <span class="jd-title">{store.data.title.value || store.shown.tree.value?.name}</span>
      {live?.running ? (
        <Progress live={live} />
      ) : (
        report && (
          <span class="jd-facts">
            <span>{some(report.calls, "call")}</span>
            <span>{seconds(report.seconds)}</span>
            {report.compile_seconds > 0 && (
              <span>{seconds(report.compile_seconds)} compiling</span>
            )}
            <span>{seconds(report.check_seconds - report.origin_seconds)} checking</span>
            {report.origin_seconds > 0 && (
              <span>{seconds(report.origin_seconds)} finding the origin</span>
            )}
          </span>
        )
      )}
      <Lost store={store} />
      <span class="jd-brand">jaxdbg</span>
      <button
        type="button"
        class="jd-ask"
        aria-label="Keys and words"
        aria-expanded={store.view.help.value}
        title="keys and words  ?"
        onClick={() => (store.view.help.value = !store.view.help.value)}
      >
        ?
      </button>
    </div>
  );
}

function Verdict({ store }: { store: Store }) {
  const live = store.data.live.value;
  const findings = store.data.findings.value.length;
  const bad = store.shown.trees.value.reduce((n, t) => n + t.bad().length, 0);
  if (findings) return <b class="jd-chip jd-wrong">✗ {some(findings, "finding")}</b>;
  if (live?.running) return <b class="jd-chip jd-running">● running</b>;
  if (bad) {
    return <b class="jd-chip jd-wrong">✗ {count(bad)} bad {bad === 1 ? "leaf" : "leaves"}</b>;
  }
  const report = store.data.report.value;
  if (report && unchecked(report)) {
    const why = Object.keys(report.unchecked).join("; ");
    return (
      <b class="jd-chip jd-unsure" title={why}>
        ! {unchecked(report)}
      </b>
    );
  }
  if (!store.data.report.value && store.data.compilations.value.length) return null;
  if (!store.data.report.value && !store.shown.trees.value.length) {
    return <b class="jd-chip">nothing yet</b>;
  }
  if (!store.data.report.value && !store.shown.trees.value.some(holdsNumbers)) {
    return <b class="jd-chip">no arrays</b>;
  }
  return <b class="jd-chip jd-right">✓ {store.data.report.value ? "clean" : "finite"}</b>;
}

function holdsNumbers(tree: Tree): boolean {
  return tree.paths.some((_, i) => !["other", "none"].includes(tree.text("kind", i)));
}

function Progress({ live }: { live: Live }) {
  return (
    <span class="jd-facts" role="status">
      <span>{some(live.calls, "call")}</span>
      {live.function && (
        <span>
          <code>{live.function}</code> call {count(live.call)}
        </span>
      )}
      {live.rate > 0 && <span>{live.rate.toPrecision(3)} calls/s</span>}
      <span>{seconds(live.seconds)}</span>
    </span>
  );
}

function Lost({ store }: { store: Store }) {
  const wasted = store.data.timeline.value?.lost ?? 0;
  if (wasted < 0.001) return null;
  return (
    <b class="jd-lost" title="traces and compilations that a small change would avoid">
      {seconds(wasted)} lost to avoidable compilations
    </b>
  );
}
