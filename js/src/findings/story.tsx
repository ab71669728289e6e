// The story of a finding, the answer first: the line, why, what to do; then the facts.

import type { Finding, FrameData, SectionData, StoryData } from "../contract";
import { Copy } from "../copy";
import { PlaceLink } from "../place";
import { Prose } from "../prose";
import { Source } from "../source";
import { Spark } from "../spark";
import type { Store } from "../store/store";

/** Up to how many lines a section shows them all, and how many of more. */
const MOST = 5;
const FEW = 3;
/** Up to how many leaves their list is open. */
const OPEN = 12;

interface StoryProps {
  store: Store;
  finding: Finding;
  story: StoryData;
}

export function Story({ store, finding, story }: StoryProps) {
  const facts = story.sections.filter((s) => !s.role);
  return (
    <div class="jd-story" role="group" aria-label="The selected finding">
      <Answer story={story} />
      {(facts.length > 0 || story.effect || finding.allow) && (
        <div class="jd-rest">
          {facts.map((section) => (
            <Fact key={section.title} section={section} />
          ))}
          {story.growth.length > 1 && (
            <div class="jd-fact">
              <h4>calls before</h4>
              <Spark values={story.growth.map(Number)} />
            </div>
          )}
          <Effect store={store} story={story} />
          <Meant finding={finding} />
        </div>
      )}
    </div>
  );
}

/** The line, the cause and the fix; none where the row says all that is known. */
function Answer({ story }: { story: StoryData }) {
  const born = story.sections.filter((s) => s.role === "birth");
  const advice = story.sections.filter((s) => s.role === "fix");
  if (!story.text && !born.length && !advice.length) return null;
  return (
    <div class="jd-answer">
      {story.text && <pre class="jd-message">{story.text}</pre>}
      {born.map((section) => (
        <Lines key={section.title} section={section} />
      ))}
      {advice.length > 0 && (
        <div class="jd-fix">
          {advice.map((section) => (
            <Fact key={section.title} section={section} />
          ))}
        </div>
      )}
    </div>
  );
}

/** A section under its title: as a row, the title at the left. */
function Fact({ section }: { section: SectionData }) {
  return (
    <div class="jd-fact">
      <h4>{section.title}</h4>
      <Lines section={section} />
    </div>
  );
}

/** The lines of a section, each with its code; many are folded. */
function Lines({ section }: { section: SectionData }) {
  const { lines, frames } = section;
  const shown = lines.length > MOST ? lines.slice(0, FEW) : lines;
  const folded = lines.slice(shown.length);
  const rest = frames.filter((f) => f.said || !lines.some((line) => line.includes(f.place)));
  return (
    <div>
      {shown.map((line, i) => (
        <Line key={i} line={line} frames={frames} />
      ))}
      {folded.length > 0 && (
        <details>
          <summary>{folded.length} more</summary>
          {folded.map((line, i) => (
            <Line key={i} line={line} frames={frames} />
          ))}
        </details>
      )}
      {rest.map((frame, i) => (
        <Aside key={i} frame={frame} />
      ))}
    </div>
  );
}

/** A line, in which the place of a frame is a link; the code of the frame is under it. */
function Line({ line, frames }: { line: string; frames: FrameData[] }) {
  const found = frames.find((f) => !f.said && line.includes(f.place));
  if (!found) {
    return (
      <p>
        <Prose text={line} />
      </p>
    );
  }
  const [before = "", ...after] = line.split(found.place);
  return (
    <>
      <p>
        <Prose text={before} />
        <PlaceLink frame={found.frame} />
        <Prose text={after.join(found.place)} />
      </p>
      {found.frame.code && <Source frame={found.frame} bare />}
    </>
  );
}

/** Code that is not the user's line itself: inside a library, or differentiated by it. */
function Aside({ frame: { said, frame } }: { frame: FrameData }) {
  if (!said) return <Source frame={frame} />;
  return (
    <details>
      <summary>{said}</summary>
      <Source frame={frame} />
    </details>
  );
}

/** The comment that lets the value be, to be copied onto its line. */
function Meant({ finding }: { finding: Finding }) {
  if (!finding.allow) return null;
  return (
    <div class="jd-fact">
      <h4>meant?</h4>
      <p>
        <code>{finding.allow}</code> on {finding.allow_at} <Copy text={finding.allow} />
      </p>
    </div>
  );
}

function Effect({ store, story }: { store: Store; story: StoryData }) {
  const { effect, leaves } = story;
  if (!effect) return null;
  return (
    <div class="jd-fact">
      <h4>reached</h4>
      {leaves.length > 1 && (
        <details open={leaves.length <= OPEN}>
          <summary>{effect}</summary>
          <Leaves store={store} story={story} />
        </details>
      )}
      {leaves.length === 1 && <Leaves store={store} story={story} />}
      {!leaves.length && <p>{effect}</p>}
    </div>
  );
}

function Leaves({ store, story }: { store: Store; story: StoryData }) {
  return (
    <ul class="jd-leaves">
      {story.leaves.map(([path, what]) => (
        <li key={path}>
          <LeafLink store={store} path={path} /> <small>{what}</small>
        </li>
      ))}
      {story.more && <li>{story.more}</li>}
    </ul>
  );
}

function LeafLink({ store, path }: { store: Store; path: string }) {
  const known = store.shown.trees.value.some((t) => t.find(path) >= 0);
  if (!known) return <code>{path}</code>;
  const go = (): void => {
    store.navigate.toPath(path);
    store.navigate.toLeaf(store.selection.leaf.value);
  };
  return (
    <button type="button" class="jd-link" onClick={go}>
      <code>{path}</code>
    </button>
  );
}
