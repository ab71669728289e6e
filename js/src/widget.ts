// The entry: the only file that knows anywidget, and the page that Report.save writes.

import { h, render } from "preact";
import type { Live, PanelData, TileAnswer } from "./contract";
import { Panel } from "./panel";
import { Store } from "./store/store";

/** The part of anywidget's model that is used here. */
interface Model {
  get(name: "data" | "progress"): string;
  on(name: string, listener: (...args: never[]) => void): void;
  off(name: string, listener: (...args: never[]) => void): void;
  send(content: unknown): void;
}

function show(store: Store, element: HTMLElement): () => void {
  const root = document.createElement("div");
  element.append(root);
  render(h(Panel, { store }), root);
  return () => {
    render(null, root);
    root.remove();
  };
}

function widget({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const store = new Store({ ask: (request) => model.send(request) });
  const data = (): void => store.receive(JSON.parse(model.get("data")) as PanelData);
  const live = (): void => {
    store.data.live.value = JSON.parse(model.get("progress")) as Live | null;
  };
  const message = (answer: TileAnswer): void => store.elements.receive(answer);
  model.on("change:data", data);
  model.on("change:progress", live);
  model.on("msg:custom", message);
  data();
  live();
  const close = show(store, el);
  return () => {
    model.off("change:data", data);
    model.off("change:progress", live);
    model.off("msg:custom", message);
    close();
  };
}

/** A page of its own: the data is beside this script, and there is no kernel. */
function page(): void {
  const data = document.getElementById("jaxdbg-data");
  const element = document.getElementById("jaxdbg-panel");
  if (!data || !element) return;
  const store = new Store();
  store.receive(JSON.parse(data.textContent) as PanelData);
  show(store, element);
}

page();

export default { render: widget };
