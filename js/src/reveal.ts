// Shows a line of a cell in the notebook around the panel: JupyterLab, Notebook 7.

import type { SourceFrame } from "./contract";

/**
 * Scrolls to a line and lights it up; where the line is not what it was, its cell. False
 * where the page has no such cell: it has been run again, or the host hides its cells.
 */
export function reveal(frame: SourceFrame, from: Element): boolean {
  const notebook = from.closest(".jp-Notebook");
  const prompts = notebook?.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt") ?? [];
  const prompt = [...prompts].find((p) => p.textContent?.trim() === `[${frame.cell}]:`);
  const cell = prompt?.closest(".jp-CodeCell");
  if (frame.cell === null || !cell) return false;
  const line = cell.querySelectorAll(".cm-line")[frame.line - 1];
  const code = frame.code.split("\n", 1)[0]?.trim() ?? "";
  const same = line !== undefined && code !== "" && line.textContent?.trim() === code;
  const shown = same ? line : (cell.querySelector(".jp-InputArea") ?? cell);
  shown.scrollIntoView({ block: "center" });
  lightUp(shown);
  return true;
}

function lightUp(element: Element): void {
  const light = "color-mix(in srgb, Highlight 40%, transparent)";
  // It stays the same for as long as it is there: nothing moves.
  const frames = { backgroundColor: [light, light], outline: ["2px solid Highlight", "2px solid Highlight"] };
  element.animate?.(frames, { duration: 1800 });
}
