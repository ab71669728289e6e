// Builds jaxdbg/views/panel/panel.*: the panel as one ES module and one style sheet. The folder to
// write to may be given, so that a test can compare a fresh build with what is
// committed.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

/**
 * Long names of our own objects, which neither the page nor the contract knows: they
 * are made short. (A name that one of the two does know must not stand here.)
 */
const OURS = [
  ...["store", "theme", "colours", "subject", "inside", "treeData", "unpacked"],
  ...["perRow", "labelX", "labelWidth", "stride", "pitch", "headings", "columnWidth"],
  ...["selectLeaf", "selectFinding", "selectCompilation", "goToCall", "showTree"],
  ...["nextBad", "nextFound", "findingsOf", "askTile", "tileCame", "hasKernel"],
  ...["firstBad", "firstBadAt", "largestAt", "callAt", "keptAt", "badness", "asItIs"],
  ...["comparable", "goodNow", "onPick", "onPoint", "onDown", "onTwice", "moment"],
  ...["compilations", "picked", "birth", "query", "paint", "accent", "ground", "folds"],
  ...["expressionOf", "indents", "deeper", "siblings", "slabs", "knows", "grown"],
  ...["lengths", "goTo", "setData", "modules", "brush", "lanes", "axis", "shown"],
];

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../jaxdbg/views/panel`;

await build({
  absWorkingDir: here,
  entryPoints: [
    { in: "src/widget.ts", out: "panel" },
    { in: "src/style.css", out: "panel" },
  ],
  outdir: out,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  jsx: "automatic",
  jsxImportSource: "preact",
  mangleProps: new RegExp(`^(?:${OURS.join("|")})$`),
});
