// The modules of a tree, read from the paths of its leaves.

/** A module: a range of leaves with the beginning of their paths in common. */
export interface Module {
  name: string;
  path: string;
  depth: number;
  start: number;
  end: number;
  children: Module[];
}

/** A part of a tree that is shown alone: a module, or a run of leaves in one. */
export interface Scope {
  path: string;
  label: string;
  start: number;
  end: number;
}

/** The steps of a path: `model.a['x.y'][0]` is model, .a, ['x.y'], [0]. */
export function steps(path: string): string[] {
  const found: string[] = [];
  let start = 0;
  let quote = "";
  let brackets = 0; // `f(...)` is one step
  for (let i = 0; i < path.length; i++) {
    const c = path[i] as string;
    if (quote) {
      if (c === "\\") i++;
      else if (c === quote) quote = "";
    } else if (c === "'" || c === '"') quote = c;
    else if (c === "(") brackets++;
    else if (c === ")") brackets--;
    else if (brackets) continue;
    else if ((c === "." || c === "[") && i > start) {
      found.push(path.slice(start, i));
      start = i;
    }
  }
  found.push(path.slice(start));
  return found;
}

/** The modules of leaves, whose paths are in the order of the tree. */
export function modulesOf(name: string, paths: string[]): Module {
  const root: Module = {
    name,
    path: "",
    depth: 0,
    start: 0,
    end: paths.length,
    children: [],
  };
  let open: Module[] = [root];
  let before = "";
  let ends: number[] = []; // of the steps to the open modules, in the path before
  paths.forEach((path, leaf) => {
    // The steps that two paths share are not split again.
    const most = Math.min(path.length, before.length);
    let same = 0;
    while (same < most && path.charCodeAt(same) === before.charCodeAt(same)) same++;
    let depth = 0;
    while (depth < ends.length && (ends[depth] as number) < same) depth++;
    ends = ends.slice(0, depth);
    let end = ends[depth - 1] ?? 0;
    for (const step of steps(path.slice(end)).slice(0, -1)) {
      const parent = open[depth] as Module;
      depth++;
      ends.push((end += step.length));
      if (open[depth]?.name === step) continue;
      open = open.slice(0, depth);
      const child: Module = {
        name: step,
        path: parent.path + step,
        depth,
        start: leaf,
        end: leaf,
        children: [],
      };
      parent.children.push(child);
      open.push(child);
    }
    open = open.slice(0, depth + 1);
    for (const module of open) module.end = leaf + 1;
    before = path;
  });
  return root;
}

/** A path without the beginning that it shares with its module. */
export function below(path: string, module: string): string {
  const rest = path.startsWith(module) ? path.slice(module.length) : path;
  return rest.replace(/^\./, "") || path;
}

/** What several paths begin with, in whole steps. */
export function commonStart(paths: string[]): string {
  if (paths.length < 2) return "";
  const [first = [], ...others] = paths.map(steps);
  let same = 0;
  while (same < first.length && others.every((o) => o[same] === first[same])) same++;
  const common = first.slice(0, same);
  const isAttribute = (step = ""): boolean => step.startsWith(".");
  // `blocks[3]` says more than `[3]`.
  const last = isAttribute(first[same]) ? -1 : common.findLastIndex(isAttribute);
  return common.slice(0, last > 0 ? last : same).join("");
}

/** The module of a scope, or the part of one, as the root of what is shown. */
export function moduleAt(root: Module, scope: Scope | null): Module {
  let module = root;
  if (!scope) return module;
  const { start, end } = scope;
  for (;;) {
    const inner = module.children.find((c) => c.start <= start && c.end >= end);
    if (!inner) break;
    module = inner;
    if (module.start === start && module.end === end) return module;
  }
  const children = module.children.filter((c) => c.start >= start && c.end <= end);
  return { ...module, start, end, children };
}
