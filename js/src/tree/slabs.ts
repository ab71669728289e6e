// Where the modules of the icicle go. Pure functions, in CSS pixels.

import type { Module } from "./modules";

/** A module as a rectangle of the icicle: level by level downwards. */
export interface Slab {
  module: Module;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Plan {
  slabs: Slab[];
  leaves: { width: number; y: number };
  height: number;
}

const SLAB = 22;

/** The modules below a root, each as wide as it has leaves; the leaves are at `y`. */
export function icicle(
  root: Module,
  width: number,
  maxHeight: number,
): Plan {
  const depth = Math.min(depthOf(root), Math.max(1, Math.floor(maxHeight / SLAB) - 1));
  const scale = width / Math.max(1, root.end - root.start);
  const slabs: Slab[] = [];
  const walk = (module: Module, level: number): void => {
    const x = (module.start - root.start) * scale;
    const w = (module.end - module.start) * scale;
    if (level >= depth || w < 0.7) return;
    slabs.push({ module, x, y: level * SLAB, width: w, height: SLAB });
    for (const child of module.children) walk(child, level + 1);
  };
  walk(root, 0);
  const y = depth * SLAB;
  return { slabs, leaves: { width, y }, height: y + SLAB * 1.6 };
}

function depthOf(module: Module): number {
  return 1 + module.children.reduce((d, c) => Math.max(d, depthOf(c)), 0);
}
