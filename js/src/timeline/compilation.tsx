// One trace, lowering or compilation: what for, why again, from which line.

import { Prose } from "../prose";
import { Source } from "../source";
import type { Store } from "../store/store";
import { seconds } from "../text";

export function CompilationDetails({ store, index }: { store: Store; index: number }) {
  const event = store.data.compilations.value[index];
  if (!event) return null;
  const { reason } = event;
  const signature = Object.entries(event.signature);
  return (
    <div>
      <h3>
        {event.phase} <code>{event.function}</code>
        {event.role && `, ${event.role}`} · {seconds(event.duration)}
      </h3>
      <p class="jd-note">
        {[
          event.defined && `defined at ${event.defined.split("/").slice(-2).join("/")}`,
          event.cell !== null && `in cell ${event.cell}`,
          event.thread && event.thread !== "MainThread" && `thread ${event.thread}`,
          event.cache !== "off" && `persistent cache: ${event.cache}`,
          event.saved > 0 && `${seconds(event.saved)} saved`,
          event.failed && "it failed",
        ]
          .filter(Boolean)
          .join(" · ")}
      </p>
      {reason && (
        <section>
          <h4>
            Again, because of {reason.cause}
            {reason.where && (
              <>
                {" "}
                of <code>{reason.where}</code>
              </>
            )}
          </h4>
          {(reason.before || reason.after) && (
            <dl class="jd-change">
              <dt>before</dt>
              <dd>{reason.before}</dd>
              <dt>now</dt>
              <dd>{reason.after}</dd>
            </dl>
          )}
          {reason.others.map((other, i) => (
            <p key={i} class="jd-note">
              {other}
            </p>
          ))}
          {reason.note && <p class="jd-note">{reason.note}</p>}
          {reason.advice && (
            <p class="jd-advice">
              <Prose text={reason.advice} />
            </p>
          )}
        </section>
      )}
      {event.source && (
        <section>
          <h4>Asked for by</h4>
          <Source frame={event.source} />
        </section>
      )}
      {signature.length > 0 && (
        <section>
          <h4>Called with</h4>
          <dl class="jd-change">
            {signature.slice(0, 60).map(([name, what]) => (
              <>
                <dt key={name}>{name}</dt>
                <dd>{what}</dd>
              </>
            ))}
          </dl>
        </section>
      )}
    </div>
  );
}
