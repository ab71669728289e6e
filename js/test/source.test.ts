import { expect, test } from "vitest";
import type { SourceFrame } from "../src/contract";
import { lineParts } from "../src/source";

test("an expression over several lines is underlined on each", () => {
  const frame: SourceFrame = {
    file: "a.py",
    line: 3,
    function: "",
    code: "    y = f(a,\n          b) + 1",
    cell: null,
    column: 8,
    end_line: 4,
    end_column: 12,
  };
  expect(lineParts(frame)).toEqual([
    { number: 3, before: "y = ", inside: "f(a,", after: "" },
    { number: 4, before: "      ", inside: "b)", after: " + 1" },
  ]);
});
