// @vitest-environment node
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const JS = new URL("..", import.meta.url).pathname;
const COMMITTED = join(JS, "..", "jaxdbg", "views", "panel");
// Every name of an object is whole: a list of names to shorten is 2,000 bytes less, and a
// trap, since a name that the contract or the page has must not be in it.
const MOST = 110_000;
const MOST_STYLE = 16_000;

test("what is committed is a fresh build", () => {
  const out = mkdtempSync(join(tmpdir(), "jaxdbg-"));
  try {
    execFileSync("node", [join(JS, "build.mjs"), out]);
    const built = readdirSync(COMMITTED).filter((name) => !/\.py$|^__/.test(name));
    expect(readdirSync(out).sort()).toEqual(built.sort());
    for (const name of readdirSync(out)) {
      const same = readFileSync(join(out, name), "utf8") === committed(name);
      expect(same, `${name} differs: npm --prefix js run build`).toBe(true);
    }
  } finally {
    rmSync(out, { recursive: true });
  }
});

test("the bundle is small, requests nothing, and fits into a page", () => {
  const script = committed("panel.js");
  const style = committed("panel.css");
  expect(script.length).toBeLessThan(MOST);
  expect(style.length).toBeLessThan(MOST_STYLE);
  expect(script).not.toMatch(/<\/script/i);
  expect(script).not.toMatch(/\bfetch\(|XMLHttpRequest|WebSocket|import\(/);
  expect(style).not.toMatch(/url\(|@import/);
  // Names of XML, and nothing to load.
  const addresses = [...script.matchAll(/https?:\/\/[\w.]+/g)].map((m) => m[0]);
  expect(new Set(addresses)).toEqual(new Set(["http://www.w3.org"]));
});

test("the bundle has the licence of each package that is in it", () => {
  const [notice] = /^\/\*![\s\S]*?\*\//.exec(committed("panel.js")) ?? [""];
  for (const name of ["preact", "@preact/signals", "@preact/signals-core"])
    expect(notice).toMatch(new RegExp(`^${name}: Copyright \\(c\\)`, "m"));
  expect(notice).toContain("The above copyright notice and this permission notice");
});

function committed(name: string): string {
  return readFileSync(join(COMMITTED, name), "utf8");
}
