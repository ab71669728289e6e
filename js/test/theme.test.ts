import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import palette from "../../jaxdbg/views/colours.json";
import { applyTheme, coloursOf, luminance, RAMP } from "../src/theme";

const STYLE = readFileSync(join(import.meta.dirname, "..", "src", "style.css"), "utf8");

function element(ground: string): HTMLElement {
  const made = document.createElement("div");
  made.style.setProperty("--jd-ground", ground);
  document.body.append(made);
  return made;
}

/** Variables that a style sheet uses and does not define. */
function open(style: string): string[] {
  const names = (pattern: RegExp) => [...style.matchAll(pattern)].map((m) => m[1] as string);
  const defined = new Set(names(/--jd-([\w-]+):/g));
  return [...new Set(names(/var\(--jd-([\w-]+)/g))].filter((n) => !defined.has(n)).sort();
}

test("the style sheet uses the variables that the theme writes, and no others", () => {
  expect(open(STYLE)).toEqual(Object.keys(palette.light).sort());
  expect(open("a { --jd-one: red; color: var(--jd-one); fill: var(--jd-two) }")).toEqual(["two"]);
});

test("the theme is that of the ground", () => {
  for (const [ground, name] of [["rgb(17, 17, 17)", "dark"], ["rgb(255, 255, 255)", "light"]] as const) {
    const panel = element(ground);
    applyTheme(panel);
    expect(panel.dataset.jdDark).toBe(String(name === "dark"));
    expect(panel.style.getPropertyValue("--jd-nan")).toBe(palette[name].nan);
    expect(coloursOf(panel)).toMatchObject({ ground, inf: palette[name].inf });
  }
});

test("a ramp goes from its first stop to its last, over the one between", () => {
  const { ramp, change } = coloursOf(element("rgb(255, 255, 255)"));
  expect([ramp.length, change.length]).toEqual([RAMP, RAMP]);
  expect([ramp[0], ramp.at(-1)]).toEqual(["rgb(226 232 238)", "rgb(0 84 140)"]);
  expect([change[0], change.at(-1)]).toEqual(["rgb(0 104 170)", "rgb(150 100 0)"]);
  expect(change[RAMP / 2]).toBe("rgb(225 224 222)");
  expect(luminance("Canvas")).toBeCloseTo(1);
});
