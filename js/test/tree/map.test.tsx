import { act } from "preact/test-utils";
import { expect, test } from "vitest";
import { fixture } from "../fixtures";
import { open, root, text } from "../page";

test("the map says in which module the value was born", async () => {
  const store = await open("failed");
  const label = (): string => root.querySelector(".jd-map canvas")?.getAttribute("aria-label") ?? "";
  expect(store.shown.birth.value).toBeNull();
  expect(label()).not.toContain("Born in");
  const data = fixture("failed");
  const story = data.stories[1];
  if (!story) throw new Error("the fixture has no story");
  story.module = "model.conv1";
  await act(() => store.receive(data));
  expect(store.shown.birth.value).toEqual({ module: "model.conv1", start: 0, end: 2 });
  expect(text(".jd-map .jd-legend")).toContain("born in model.conv1");
  expect(label()).toContain("Born in model.conv1.");
});
