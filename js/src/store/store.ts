// The state of a panel. Views read its signals, and change it by `navigate`, `view` and
// `elements`.

import { batch } from "@preact/signals";
import type { PanelData } from "../contract";
import { Data } from "./data";
import { Elements, type Kernel } from "./elements";
import { Navigation } from "./navigation";
import { Selection } from "./selection";
import { Shown } from "./shown";
import { View } from "./view";

export class Store {
  readonly data = new Data();
  readonly selection = new Selection();
  readonly view = new View();
  readonly shown = new Shown(this.data, this.selection, this.view);
  readonly navigate = new Navigation(this.data, this.selection, this.shown);
  readonly elements: Elements;

  constructor(kernel: Kernel | null = null) {
    this.elements = new Elements(this.selection, this.shown, kernel);
  }

  /** New data: the selection stays, or goes to a new finding. */
  receive(data: PanelData): void {
    batch(() => {
      const { selected } = this.navigate;
      this.data.set(data);
      this.navigate.restore(selected);
      this.navigate.toNewFinding();
    });
  }
}
