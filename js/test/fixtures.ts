// The fixtures that tests/programs/panel.py writes, read as the panel reads them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PanelData } from "../src/contract";

export function fixture(name: string): PanelData {
  // Vite would take a URL for something to serve.
  const path = join(import.meta.dirname, "..", "..", "tests", "programs", "fixtures", `${name}.json`);
  return JSON.parse(readFileSync(path, "utf8")) as PanelData;
}
