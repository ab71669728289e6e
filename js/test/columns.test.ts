import { expect, test } from "vitest";
import { unpack } from "../src/columns";
import { tree } from "./fixtures";

test("columns come back as they went", () => {
  expect([...Array.from(unpack({ same: 3 }, 2))]).toEqual([3, 3]);
  expect(Array.from(unpack({ list: [1, null] }, 2))).toEqual([1, NaN]);
  expect(Array.from(unpack({ same: 0, but: { "2": 5, "1": null } }, 4))).toEqual([
    0, NaN, 5, 0,
  ]);
  const packed = tree("tree");
  expect(packed.data.largest).toHaveProperty("f32");
  expect(packed.number("largest", 37)).toBeCloseTo(10 ** Math.sin(1), 5);
  expect(packed.number("size", 0)).toBe(256);
  expect(packed.text("shape", 1)).toBe("16");
});
