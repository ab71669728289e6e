// What is under the pointer on the timeline.

import type { Place } from "../canvas";
import type { CompileEvent } from "../contract";
import { count, seconds } from "../text";
import { reasonText } from "./reason";
import type { Calls } from "./calls";
import { type Drawn, LABEL, LANE, TOP, xOf } from "./draw";

/** The compilation under the pointer. */
export function eventAt(what: Drawn, p: Place): number {
  const lane = what.lanes[Math.floor((p.y - TOP) / LANE)];
  if (!lane || p.x < LABEL) return -1;
  const near = lane.events.filter((i) => {
    const e = what.events[i] as CompileEvent;
    const x = xOf(what, e.start);
    return p.x >= x - 2 && p.x <= Math.max(xOf(what, e.start + e.duration), x + 3) + 1;
  });
  return near.at(-1) ?? -1; // nested events come later, and are drawn above
}

/** The call under the pointer, the slowest where there are several. */
export function callAt(what: Drawn, p: Place): number {
  const calls = what.calls as Calls | null;
  const lane = what.lanes[Math.floor((p.y - TOP) / LANE)];
  if (!calls || !lane || p.x < LABEL) return -1;
  let best = -1;
  for (const i of calls.of(lane.called)) {
    const x = xOf(what, calls.start(i));
    const right = xOf(what, calls.start(i) + calls.seconds(i));
    if (p.x < x - 1.5 || p.x > Math.max(right, x) + 1.5) continue;
    if (best < 0 || calls.seconds(i) > calls.seconds(best)) best = i;
  }
  return best;
}

/** What the pointer shows. */
export function tipOf(what: Drawn, p: Place): string[] {
  const event = what.events[eventAt(what, p)];
  if (!event) return callTip(what, callAt(what, p)) ?? cellTip(what, p);
  const lines = [`${event.phase} ${event.function} · ${seconds(event.duration)}`];
  const signature = Object.entries(event.signature);
  for (const [name, type] of signature.slice(0, 6)) lines.push(`${name}: ${type}`);
  if (signature.length > 6) lines.push(`and ${signature.length - 6} more arguments`);
  if (event.reason) lines.push(reasonText(event));
  return lines;
}

function callTip({ calls }: Drawn, i: number): string[] | null {
  if (!calls || i < 0) return null;
  const { function: name, number } = calls.call(i);
  const lines = [`call ${count(number)} of ${name} · ${seconds(calls.seconds(i))}`];
  if (calls.share > 1) lines.push(`the slowest of ${calls.share} calls`);
  return lines;
}

/** Of a cell its name and how long it ran, of a fold how long nothing did. */
function cellTip(what: Drawn, p: Place): string[] {
  if (p.y > TOP || p.x < LABEL) return [];
  const within = (start: number, end: number): boolean =>
    p.x >= xOf(what, start) - 1 && p.x <= Math.max(xOf(what, end), xOf(what, start) + 2);
  const fold = what.axis.folds.find((f) => within(f.from, f.to));
  if (fold) {
    const text = fold.search ? "finding the origin" : "without a compilation";
    return [`${seconds(fold.to - fold.from)} ${text}, folded`];
  }
  const cell = what.cells.find((c) => within(c.start, c.end));
  return cell?.name ? [`${cell.name} · ${seconds(cell.end - cell.start)}`] : [];
}
