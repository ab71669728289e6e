import { render } from "preact";
import { act } from "preact/test-utils";
import { expect, test, vi } from "vitest";
import { PlaceLink } from "../src/place";
import { reveal } from "../src/reveal";

const FRAME = {
  file: "<cell>", line: 2, function: "f", code: "  y = x / 0", cell: 3,
  column: 6, end_line: 2, end_column: 11,
};

function notebook(prompt: string, line: string): HTMLElement {
  document.body.innerHTML = `<div class="jp-Notebook"><div class="jp-CodeCell">
    <div class="jp-InputArea"><div class="jp-InputArea-prompt">${prompt}</div>
    <div class="cm-line">x = 1</div><div class="cm-line">${line}</div></div>
    </div><div id="panel"></div></div>`;
  Element.prototype.scrollIntoView = function () {
    shown.push((this as Element).className);
  };
  return document.getElementById("panel") as HTMLElement;
}
let shown: string[] = [];

test("a place is shown in its cell, at its line if that is still the same", () => {
  shown = [];
  expect(reveal(FRAME, notebook("[3]:", "  y = x / 0"))).toBe(true);
  expect(reveal(FRAME, notebook("[3]:", "something else"))).toBe(true);
  expect(shown).toEqual(["cm-line", "jp-InputArea"]);
  expect(reveal(FRAME, notebook("[4]:", "  y = x / 0"))).toBe(false);
  expect(reveal({ ...FRAME, cell: null }, notebook("[null]:", ""))).toBe(false);
});

test("a place that the page does not have is copied, and the panel says so", async () => {
  const writeText = vi.fn(() => Promise.resolve());
  vi.stubGlobal("navigator", { clipboard: { writeText } });
  const root = notebook("[4]:", "");
  const file = { ...FRAME, cell: null, file: "/data/my/train.py" };
  await act(() => render(<PlaceLink frame={file} />, root));
  await act(async () => root.querySelector("button")?.click());
  expect(writeText).toHaveBeenCalledWith("/data/my/train.py:2");
  await vi.waitFor(() =>
    expect(root.textContent).toBe("my/train.py:2 /data/my/train.py:2 copied"),
  );
  vi.unstubAllGlobals();
});
