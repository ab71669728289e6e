import { expect, test } from "vitest";
import { fitted, segments } from "../../src/tree/labels";

test("a label is steps, without what all begin with and the name of the tree", () => {
  const of = (label: string, common = "") => segments(label, common, "model");
  expect(of("model.blocks[0].attn.k", "model")).toEqual(["blocks[0]", "attn", "k"]);
  expect(of("model.head")).toEqual(["head"]);
  expect(of("model")).toEqual(["model"]);
  expect(of('opt(...)[0]["hidden"]["w.x"]')).toEqual(["opt(...)[0]", "hidden", "w.x"]);
  expect(of("model.blocks[3…17]")).toEqual(["blocks[3…17]"]);
  expect(of('model["block077"] … ["block083"]')).toEqual(["block077 … block083"]);
});

test("the middle gives way, at a step", () => {
  const parts = ["blocks[0]", "attn", "out", "kernel"];
  expect(fitted(parts, 40)).toBe("blocks[0] › attn › out › kernel");
  expect(fitted(parts, 29)).toBe("blocks[0] › attn › … › kernel");
  expect(fitted(parts, 24)).toBe("blocks[0] › … › kernel");
  expect(fitted(parts, 12)).toBe("… › kernel");
  expect(fitted(parts, 8)).toBe("kernel");
  expect(fitted(["a_very_long_name"], 8)).toBe("a_very_…");
});
