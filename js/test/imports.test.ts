// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "..", "src");

/** The text of each source file, by its path without the suffix. */
type Sources = Record<string, string>;

function sources(root: string): Sources {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => /\.tsx?$/.test(name));
  return Object.fromEntries(
    files.map((name) => [name.replace(/\.tsx?$/, ""), readFileSync(join(root, name), "utf8")]),
  );
}

/** What a file imports of the others, for its types too. */
function imported(all: Sources, file: string): string[] {
  const paths = [...(all[file] ?? "").matchAll(/from "(\.[^"]+)"/g)].map((m) => m[1] as string);
  return paths.map((path) => normalize(join(dirname(file), path))).filter((name) => name in all);
}

/** A way along imports that ends where it began; empty where there is none. */
function circle(all: Sources): string[] {
  const done = new Set<string>();
  const visit = (file: string, way: string[]): string[] => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return [];
    done.add(file);
    for (const next of imported(all, file)) {
      const found = visit(next, [...way, file]);
      if (found.length) return found;
    }
    return [];
  };
  return Object.keys(all).map((file) => visit(file, [])).find((found) => found.length) ?? [];
}

const SUBJECTS = ["tree", "timeline", "findings"];

/** Imports from the folder of one subject to that of another. */
function across(all: Sources): string[] {
  const subject = (file: string) => SUBJECTS.find((name) => file.startsWith(`${name}/`));
  return Object.keys(all).flatMap((file) =>
    imported(all, file)
      .filter((other) => subject(file) && subject(other) && subject(file) !== subject(other))
      .map((other) => `${file} → ${other}`),
  );
}

test("imports have no circle", () => {
  const all = sources(SRC);
  expect(imported(all, "widget")).toContain("store/store");
  expect(circle(all)).toEqual([]);
});

test("a circle is found, that of types too", () => {
  const broken = {
    widget: 'import { A } from "./tree/a";',
    "tree/a": 'import type { B } from "../b";',
    b: 'import {\n  A,\n} from "./tree/a";',
  };
  expect(circle(broken)).toEqual(["tree/a", "b", "tree/a"]);
});

test("the subjects know nothing of each other", () => {
  expect(across(sources(SRC))).toEqual([]);
  const broken = { "tree/a": 'import { B } from "../timeline/b";', "timeline/b": "" };
  expect(across(broken)).toEqual(["tree/a → timeline/b"]);
});

test("anywidget and the page are known to the entry alone", () => {
  const knowing = (all: Sources) =>
    Object.keys(all).filter((file) => /anywidget|jaxdbg-data/.test(all[file] ?? ""));
  expect(knowing(sources(SRC))).toEqual(["widget"]);
  expect(knowing({ panel: 'document.getElementById("jaxdbg-data")' })).toEqual(["panel"]);
});
