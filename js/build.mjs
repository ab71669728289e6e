// Builds jaxdbg/views/panel/panel.*: the panel as one ES module and one style sheet. An
// argument names another folder: a test compares a fresh build with the committed one.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

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
});
