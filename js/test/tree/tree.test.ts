import { expect, test } from "vitest";
import { GOOD, INF, NAN } from "../../src/badness";
import type { HistoryData, OutputsData, TreeData } from "../../src/contract";
import { BadOutputs, type FailedTree } from "../../src/tree/bad_outputs";
import { Tree } from "../../src/tree/tree";
import { fixture, tree } from "../fixtures";

test("badness at the end, and at a call of the history", () => {
  const model = tree("failed");
  const at = (number: number) => model.snapshotOf({ function: "train_step", number });
  expect(model.badness(0, at(192))).toBe(NAN);
  expect(model.badness(0, at(191))).toBe(GOOD);
  expect(at(149)).toBe(2);
  expect(model.callOf(at(149))).toEqual({ function: "train_step", number: 100 });
  expect(model.history?.firstBadAt).toBe(7);
  expect(model.bad(at(192))).toEqual([0, 1, 4]);
  expect(model.bad()).toEqual([]); // as it is now: the last good values
});

test("a tree as a failing call returned it, beside the tree as it is", () => {
  const now = tree("failed");
  const outputs = new BadOutputs(fixture("failed").outputs[0] as OutputsData);
  const failed = outputs.placedIn(now) as FailedTree;
  expect(outputs.placedIn(now)).toBe(failed);
  expect(failed.bad()).toEqual([0, 1, 4]);
  expect(now.bad()).toEqual([]);
  const numbers = [failed, now].map((t) => [t.number("nan", 4), t.firstBad(4)]);
  expect(numbers).toEqual([[10, [17, 0]], [0, undefined]]);
  expect(failed.text("group", 4)).toBe("params");
  expect(failed.outputOf(5)).toBe(-1);
  expect(failed.number("largest", 5)).toBe(now.number("largest", 5));
  expect(outputs.placedIn(tree("failed", 1))).toBeNull();
  const loss = tree("failed", 2);
  expect([loss.known, loss.knows(0)]).toEqual([false, false]);
  expect(outputs.placedIn(loss)?.knows(0)).toBe(true);
  expect(outputs.placedIn(loss)?.text("dtype", 0)).toBe("float32");
});

test("a shared leaf is found by any of its paths", () => {
  const data = fixture("failed").trees[0] as TreeData;
  const tied = new Tree({ ...data, also: { "model.tied": 4 } });
  expect([tied.find("model.tied"), tied.find("model.head.kernel")]).toEqual([4, 4]);
});

test("a call of the past has the kinds of then", () => {
  const data = fixture("failed").trees[0] as TreeData;
  const history = data.history as HistoryData;
  const bad = history.bad.map((c, i) => (i === 4 ? { list: [9, 9, 0, 0, 0, 0] } : c));
  const nan = history.nan.map((c, i) => (i === 4 ? { list: [0, 1, 0, 0, 0, 0] } : c));
  const then = (change: Partial<HistoryData>) =>
    new Tree({ ...data, history: { ...history, bad, ...change } });
  expect([0, 1, 2].map((leaf) => then({ nan }).badness(leaf, 4))).toEqual([INF, NAN, GOOD]);
  expect(then({ nan: [] }).badness(0, 4)).toBe(NAN);
});
