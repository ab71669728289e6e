// A canvas that is painted anew when its size, its inputs or the theme change.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { type Colours, coloursOf } from "./theme";

/** The font of code on a canvas. */
export const MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

export interface Place {
  x: number;
  y: number;
}

interface Props {
  height: number;
  label: string;
  draw: (ctx: CanvasRenderingContext2D, colours: Colours) => void;
  onPoint?: (at: Place | null, event: PointerEvent) => void;
  onPick?: (at: Place, event: MouseEvent) => void;
  onDown?: (at: Place, event: PointerEvent) => void;
  onUp?: (at: Place, event: PointerEvent) => void;
  onTwice?: () => void;
  theme: number;
  width: number;
}

export function Canvas(props: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = props;
  useLayoutEffect(() => {
    const element = canvas.current;
    const ctx = element?.getContext("2d");
    if (!element || !ctx || !width) return;
    const ratio = globalThis.devicePixelRatio || 1;
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    ctx.scale(ratio, ratio);
    ctx.clearRect(0, 0, width, height);
    props.draw(ctx, coloursOf(element.parentElement ?? element));
    element.dataset.drawn = String(Number(element.dataset.drawn ?? 0) + 1);
  });
  const at = (event: MouseEvent): Place => ({ x: event.offsetX, y: event.offsetY });
  return (
    <canvas
      ref={canvas}
      class="jd-canvas"
      role="img"
      aria-label={props.label}
      style={{ width: `${width}px`, height: `${height}px` }}
      onPointerMove={(e) => props.onPoint?.(at(e), e)}
      onPointerLeave={(e) => props.onPoint?.(null, e)}
      onPointerDown={(e) => props.onDown?.(at(e), e)}
      onPointerUp={(e) => props.onUp?.(at(e), e)}
      onDblClick={() => props.onTwice?.()}
      onClick={(e) => props.onPick?.(at(e), e)}
    />
  );
}

/** The width of an element, as it changes; and the element's ref. */
export function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return;
    setWidth(element.clientWidth);
    if (typeof ResizeObserver === "undefined") return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** A number that changes with the theme of the notebook. */
export function useTheme(): number {
  const [theme, setTheme] = useState(0);
  useLayoutEffect(() => {
    // JupyterLab swaps its style sheet after the attribute: look once more, later.
    const look = (): void => {
      setTheme((n) => n + 1);
      setTimeout(() => setTheme((n) => n + 1), 300);
    };
    const observer = new MutationObserver(look);
    for (const element of [document.documentElement, document.body]) {
      observer.observe(element, { attributes: true });
    }
    const media = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((text) =>
      globalThis.matchMedia?.(text),
    );
    for (const one of media) one?.addEventListener("change", look);
    return () => {
      observer.disconnect();
      for (const one of media) one?.removeEventListener("change", look);
    };
  }, []);
  return theme;
}

/** A text at the pointer. */
export function Tip({ at, lines }: { at: Place | null; lines: string[] }) {
  if (!at || !lines.length) return null;
  const shift = at.x > 360 ? "translateX(calc(-100% - 28px))" : "none";
  const style = { left: `${at.x + 14}px`, top: `${at.y + 14}px`, transform: shift };
  return (
    <div class="jd-tip" role="presentation" style={style}>
      {lines.map((line, i) => (
        <div key={i}>{line}</div>
      ))}
    </div>
  );
}
