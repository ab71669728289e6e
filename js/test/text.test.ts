import { expect, test } from "vitest";
import { bytes, number, seconds } from "../src/text";

test("words and numbers", () => {
  expect(number(0.00012346)).toBe("0.0001235");
  expect(number(1.5e-9)).toBe("1.50e−9");
  expect(number("inf")).toBe("inf");
  expect([bytes(999), bytes(1500), bytes(2e9)]).toEqual(["999 B", "1.5 kB", "2.0 GB"]);
  expect([seconds(0.0123), seconds(3), seconds(200)]).toEqual(["12 ms", "3.00 s", "3 min 20 s"]);
  expect([seconds(0.0994), seconds(0.0996)]).toEqual(["99 ms", "99.6 ms"]);
});
