// What the keys do, and what the words mean.

import { ALL } from "./keyboard";
import { Prose } from "./prose";
import type { Store } from "./store/store";

const WORDS: readonly [string, string][] = [
  ["leaf", "one array of a model, an optimizer or a result, under the path you would type"],
  ["call", "one call of a jitted function, counted from 1 for each function"],
  ["region", "what is checked: a cell with `%%checked`, or a `with jaxdbg.checked()`"],
  ["finding", "one thing that went wrong: a NaN, an Inf, a failed check, a budget that is spent"],
  ["born", "where arithmetic made the first NaN or Inf, from values that were finite"],
  ["head-room", "how many times the largest value of a leaf can double before it overflows"],
];

export function Help({ store }: { store: Store }) {
  if (!store.view.help.value) return null;
  return (
    <div class="jd-help" role="group" aria-label="Keys and words">
      <dl>
        {WORDS.map(([word, meaning]) => (
          <>
            <dt key={word}>{word}</dt>
            <dd>
              <Prose text={meaning} />
            </dd>
          </>
        ))}
      </dl>
      <dl>
        {ALL.map(({ key, hint }) => (
          <>
            <dt key={key}>
              <kbd>{key}</kbd>
            </dt>
            <dd>{hint}</dd>
          </>
        ))}
      </dl>
    </div>
  );
}
