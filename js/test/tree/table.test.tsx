import { expect, test } from "vitest";
import { rowsOf, within } from "../../src/tree/rows";
import { open, press, root } from "../page";

test("the table has few rows, and says where in the tree each one is", async () => {
  const store = await open("tree");
  await press("t");
  await press("]");
  const rows = [...root.querySelectorAll('[role="treeitem"]')];
  expect(rows.length).toBeLessThan(60);
  const here = rows.find((r) => r.getAttribute("aria-selected") === "true");
  expect(here?.textContent).toContain("N");
  expect(here?.getAttribute("aria-level")).toBe("7");
  expect(here?.getAttribute("aria-setsize")).toBe("2");
  expect(store.shown.bad.value).toEqual([417]);
});

test("rows follow the modules that are open", async () => {
  const store = await open("tree");
  const tree = store.shown.tree.value;
  if (!tree) throw new Error("no tree");
  const module = tree.modules();
  expect(rowsOf(tree, module, () => false)).toHaveLength(1);
  expect(rowsOf(tree, module, (m) => m.depth < 3)).toHaveLength(40);
  expect(within([3, 417, 500], { ...module, start: 400, end: 500 })).toBe(1);
});

test("arrows walk the tree", async () => {
  await open("tree");
  await press("t");
  await press("End", '[role="tree"]');
  await press("Home", '[role="tree"]');
  await press("ArrowLeft", '[role="tree"]');
  expect(root.querySelectorAll('[role="treeitem"]')).toHaveLength(1);
  await press("ArrowRight", '[role="tree"]');
  expect(root.querySelectorAll('[role="treeitem"]').length).toBeGreaterThan(1);
});
