// The fixtures that tests/programs/panel.py writes, read as the panel reads them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PanelData, TreeData } from "../src/contract";
import { Tree } from "../src/tree/tree";

export function fixture(name: string): PanelData {
  // Vite would take a URL for something to serve.
  const path = join(import.meta.dirname, "..", "..", "tests", "programs", "fixtures", `${name}.json`);
  return JSON.parse(readFileSync(path, "utf8")) as PanelData;
}

/** A tree of a fixture. */
export function tree(name: string, at = 0): Tree {
  return new Tree(fixture(name).trees[at] as TreeData);
}
