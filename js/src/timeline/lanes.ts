// Where the bars of the timeline go. Pure functions, in seconds and lanes.

import type { CompileEvent } from "../contract";

export interface Lane {
  name: string;
  user: boolean;
  /** Functions whose calls are drawn in it. */
  called: string[];
  /** Positions of its events in the report. */
  events: number[];
  seconds: number;
}

const MAX_LANES = 12;
export const REST = "library and eager ops";

/**
 * One lane for each function of the user's, by the seconds it took; one for the rest.
 *
 * `called` names functions that have calls, which may have no events.
 */
export function lanes(
  events: readonly CompileEvent[],
  called: readonly string[] = [],
): Lane[] {
  const byName = new Map<string, Lane>();
  events.forEach((event, i) => {
    const name = event.user ? event.function : REST;
    const lane = byName.get(name) ?? { name, user: event.user, called: [name], events: [], seconds: 0 };
    lane.events.push(i);
    lane.seconds += event.self_time || (event.parent < 0 ? event.duration : 0);
    byName.set(name, lane);
  });
  for (const name of called) {
    if (!byName.has(name)) byName.set(name, { name, user: true, called: [name], events: [], seconds: 0 });
  }
  const all = [...byName.values()];
  const users = all.filter((l) => l.user).sort((a, b) => b.seconds - a.seconds);
  const rest = all.filter((l) => !l.user);
  if (users.length + rest.length <= MAX_LANES) return [...users, ...rest];
  const shown = users.slice(0, MAX_LANES - 1 - rest.length);
  const others = users.slice(shown.length);
  return [...shown, join(`${others.length} more functions`, others), ...rest];
}

function join(name: string, all: Lane[]): Lane {
  return {
    name,
    user: true,
    called: all.map((l) => l.name),
    events: all.flatMap((l) => l.events),
    seconds: all.reduce((s, l) => s + l.seconds, 0),
  };
}

/** From the first to the last moment, with a margin. */
export function extent(
  events: readonly CompileEvent[],
  moments: readonly number[],
): [number, number] {
  let from = Infinity;
  let to = -Infinity;
  for (const e of events) {
    from = Math.min(from, e.start);
    to = Math.max(to, e.start + e.duration);
  }
  for (const m of moments) {
    if (m <= 0) continue;
    from = Math.min(from, m);
    to = Math.max(to, m);
  }
  if (from > to) return [0, 1];
  const margin = Math.max((to - from) * 0.01, 0.001);
  return [from - margin, to + margin];
}

/** Round steps for an axis of this many seconds. */
export function ticks(span: number, most: number): number {
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5, 10].find((s) => s * power >= raw) ?? 10) * power;
}
