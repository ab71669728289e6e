import { expect, test } from "vitest";
import { mostNotable } from "../../src/tree/lines";
import { tree } from "../fixtures";

test("the lines most worth a look: first the bad ones, then those that grew", () => {
  const model = tree("failed");
  expect(mostNotable(model).slice(0, 2)).toEqual([0, 1]);
  expect(mostNotable(model)).toHaveLength(6);
  expect(mostNotable(tree("tree"))).toEqual([]);
});
