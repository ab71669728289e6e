// The calls of a region on the axis of time.

import type { Call } from "../call";
import { type Numbers, unpack } from "../columns";
import type { CallsData } from "../contract";

export class Calls {
  readonly length: number;
  readonly share: number;
  readonly functions: string[];
  private readonly which: Numbers;
  private readonly numbers: Numbers;
  private readonly starts: Numbers;
  private readonly lengths: Numbers;

  /** `began`: when the region began, in seconds since the epoch. */
  constructor(data: CallsData, private readonly began: number) {
    const { length } = data;
    this.length = length;
    this.share = data.share;
    this.functions = data.functions;
    this.which = unpack(data.which, length);
    this.numbers = unpack(data.numbers, length);
    this.starts = unpack(data.starts, length);
    this.lengths = unpack(data.seconds, length);
  }

  call(i: number): Call {
    const name = this.functions[this.which[i] ?? 0] ?? "";
    return { function: name, number: this.numbers[i] ?? 0 };
  }

  start(i: number): number {
    return this.began + (this.starts[i] ?? 0);
  }

  seconds(i: number): number {
    return this.lengths[i] ?? 0;
  }

  /** The calls of some functions, in the order in which they ran. */
  of(names: readonly string[]): number[] {
    const mine = this.functions.map((name) => names.includes(name));
    const found: number[] = [];
    for (let i = 0; i < this.length; i++) if (mine[this.which[i] ?? 0]) found.push(i);
    return found;
  }

  /** The middle of a call, or of the nearest recorded one. */
  moment(call: Call | null): number | null {
    const i = this.nearest(call);
    return i < 0 ? null : this.start(i) + this.seconds(i) / 2;
  }

  /** When a call ended, if it was recorded. */
  end(call: Call): number | null {
    const i = this.nearest(call);
    return this.numbers[i] === call.number ? this.start(i) + this.seconds(i) : null;
  }

  private nearest(call: Call | null): number {
    if (!call) return -1;
    let best = -1;
    let apart = Infinity;
    for (const i of this.of([call.function])) {
      const far = Math.abs((this.numbers[i] ?? 0) - call.number);
      if (far < apart) [best, apart] = [i, far];
    }
    return best;
  }
}
