// The traces, lowerings and compilations as a table that can be sorted.

import { useMemo, useState } from "preact/hooks";
import type { CompileEvent } from "../contract";
import { onRowKey } from "../keyboard";
import type { Store } from "../store/store";
import { seconds } from "../text";
import { reasonText } from "./reason";

type By = "start" | "function" | "phase" | "duration";

const COLUMNS: [By, string][] = [
  ["start", "at"],
  ["function", "function"],
  ["phase", "phase"],
  ["duration", "seconds"],
];
const MOST = 200;

export function Compilations({ store }: { store: Store }) {
  const [by, setBy] = useState<By>("start");
  const [down, setDown] = useState(false);
  const [mine, setMine] = useState(true);
  const events = store.data.compilations.value;
  const began = store.data.timeline.value?.cells[0]?.start ?? events[0]?.start ?? 0;
  const subject = store.selection.subject.value;
  const users = events.some((e) => e.user);
  const rows = useMemo(() => {
    const order = [...events.keys()].filter((i) => !mine || !users || events[i]?.user);
    const value = (i: number) => (events[i] as CompileEvent)[by];
    order.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a - b));
    return down ? order.reverse() : order;
  }, [events, by, down, mine, users]);
  const sort = (next: By): void => {
    setDown(next === by ? !down : next === "duration");
    setBy(next);
  };
  const rest = events.length - events.filter((e) => e.user).length;
  return (
    <details class="jd-compilations">
      <summary>
        {rows.length} traces, lowerings and compilations
      </summary>
      {users && rest > 0 && (
        <label>
          <input
            type="checkbox"
            checked={!mine}
            onChange={(e) => setMine(!e.currentTarget.checked)}
          />{" "}
          also {rest} of the library
        </label>
      )}
      <div class="jd-scroll" tabIndex={0} role="group" aria-label="Table of compilations">
        <table>
          <thead>
            <tr>
              {COLUMNS.map(([key, name]) => (
                <th
                  key={key}
                  scope="col"
                  aria-sort={by === key ? (down ? "descending" : "ascending") : "none"}
                >
                  <button type="button" onClick={() => sort(key)}>
                    {name}
                    {by === key && <span aria-hidden="true"> {down ? "▾" : "▴"}</span>}
                  </button>
                </th>
              ))}
              <th scope="col">why again</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST).map((i) => {
              const e = events[i] as CompileEvent;
              const here = subject?.kind === "compilation" && subject.index === i;
              return (
                <tr
                  key={i}
                  tabIndex={0}
                  class={here ? "jd-here" : ""}
                  aria-selected={here}
                  onClick={() => store.navigate.toCompilation(i)}
                  onKeyDown={(k) => onRowKey(k, () => store.navigate.toCompilation(i))}
                >
                  <td>{seconds(e.start - began)}</td>
                  <td>
                    <code>{e.function}</code>
                  </td>
                  <td>{e.phase + (e.failed ? ", failed" : "")}</td>
                  <td>{seconds(e.duration)}</td>
                  <td>{reasonText(e).replace(/^again: /, "")}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
        {rows.length > MOST && <p class="jd-note">the first {MOST} of {rows.length}</p>}
      </div>
    </details>
  );
}
