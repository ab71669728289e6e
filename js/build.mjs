// Builds jaxdbg/views/panel/panel.*: the panel as one ES module and one style sheet. An
// argument names another folder: a test compares a fresh build with the committed one.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? `${here}../jaxdbg/views/panel`;

const options = {
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
};

// The licence of what is bundled goes wherever the bundle goes, saved pages too.
function notice(inputs) {
  const found = Object.keys(inputs).map((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]);
  const holders = new Map();
  for (const name of [...new Set(found)].filter(Boolean).sort()) {
    const text = readFileSync(`${here}node_modules/${name}/LICENSE`, "utf8").trim();
    const copyright = /^Copyright.*$/m.exec(text)[0];
    const terms = text.replace(copyright, "").replace(/\n{3,}/g, "\n\n");
    holders.set(terms, [...(holders.get(terms) ?? []), `${name}: ${copyright}`]);
  }
  const parts = [...holders].map(([terms, names]) => `${names.join("\n")}\n\n${terms}`);
  return `/*!\nThis file contains:\n\n${parts.join("\n\n")}\n*/`;
}

const { metafile } = await build({ ...options, metafile: true, write: false });
await build({ ...options, banner: { js: notice(metafile.inputs) } });
