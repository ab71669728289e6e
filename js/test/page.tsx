// The whole panel, rendered in a page, and what a person does with it.

import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach } from "vitest";
import type { TileAnswer } from "../src/contract";
import { Panel } from "../src/panel";
import { Store } from "../src/store/store";
import { fixture } from "./fixtures";

export let root: HTMLDivElement;

beforeEach(() => {
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
});

export async function open(name: string, store = new Store()): Promise<Store> {
  store.receive(fixture(name));
  await act(() => render(<Panel store={store} />, root));
  return store;
}

export function text(selector: string): string {
  return root.querySelector(selector)?.textContent?.replace(/\s+/g, " ").trim() ?? "";
}

export async function press(key: string, on = ".jd-panel"): Promise<KeyboardEvent> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  await act(() => {
    root.querySelector(on)?.dispatchEvent(event);
  });
  return event;
}

export async function click(selector: string, at = 0): Promise<void> {
  await act(() => {
    (root.querySelectorAll(selector)[at] as HTMLElement).click();
  });
}

export const TILE: TileAnswer = {
  answer: "tile",
  id: 1,
  error: "",
  rows: 1,
  columns: 5,
  axes: [-1, 0],
  step: [1, 2],
  shape: [10],
  window: [[0, 10]],
  largest: { list: [1, 2, null, 4, 5] },
  worst: { list: [0, 0, 2, 0, 0] },
  values: [],
};
