// A small line: one number over the calls, on a logarithmic axis.

interface Props {
  values: ArrayLike<number>;
  /** Positions where the leaf was bad, and the selected one. */
  bad?: (i: number) => boolean;
  at?: number;
  onPick?: (i: number) => void;
}

const WIDTH = 280;
const HEIGHT = 44;

export function Spark({ values, bad, at, onPick }: Props) {
  const points = Array.from(values, (v, i) => ({ i, y: Math.log10(v) }));
  const good = points.filter((p) => Number.isFinite(p.y));
  const low = Math.min(...good.map((p) => p.y));
  const high = Math.max(...good.map((p) => p.y));
  const x = (i: number): number => 4 + (i / Math.max(1, values.length - 1)) * (WIDTH - 8);
  const y = (v: number): number => 6 + (1 - (v - low) / (high - low || 1)) * (HEIGHT - 12);
  const line = good
    .map((p, n) => `${n && good[n - 1]?.i === p.i - 1 ? "L" : "M"}${x(p.i).toFixed(1)} ${y(p.y).toFixed(1)}`)
    .join("");
  const wrong = bad ? points.filter((p) => bad(p.i)) : [];
  const pick = (event: MouseEvent): void => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const t = (event.clientX - box.left) / box.width;
    onPick?.(Math.round(t * (values.length - 1)));
  };
  return (
    <svg
      class="jd-spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Largest magnitude over ${values.length} calls, from 1e${low.toFixed(1)} to 1e${high.toFixed(1)}${wrong.length ? `; bad in ${wrong.length}` : ""}`}
      onClick={pick}
    >
      <path d={line} class="jd-spark-line" />
      {good.length === 1 && good[0] && <circle cx={x(good[0].i)} cy={y(good[0].y)} r="2" />}
      {wrong.slice(0, 300).map((p) => (
        <rect key={p.i} class="jd-spark-bad" x={x(p.i) - 1.5} y={HEIGHT - 6} width="3" height="6" />
      ))}
      {at !== undefined && at >= 0 && (
        <line class="jd-spark-at" x1={x(at)} x2={x(at)} y1="0" y2={HEIGHT} />
      )}
      {good.length > 1 && (
        <>
          <text x="4" y="10">{power(high)}</text>
          <text x="4" y={HEIGHT - 2}>{power(low)}</text>
        </>
      )}
    </svg>
  );
}

function power(value: number): string {
  return (10 ** value).toExponential(1).replace("e+", "e").replace("-", "−");
}

const SMALL = { width: 110, height: 18 };

/** The same, in a line of text. */
export function SmallSpark({ values, bad, at }: Props) {
  const { width, height } = SMALL;
  const logs = Array.from(values, (v) => Math.log10(v));
  const good = logs.filter(Number.isFinite);
  const low = Math.min(...good);
  const span = Math.max(...good) - low || 1;
  const x = (i: number): number => 2 + (i / Math.max(1, logs.length - 1)) * (width - 4);
  let line = "";
  logs.forEach((v, i) => {
    if (!Number.isFinite(v)) return;
    const y = 3 + (1 - (v - low) / span) * (height - 6);
    const joined = i > 0 && Number.isFinite(logs[i - 1]);
    line += `${joined ? "L" : "M"}${x(i).toFixed(1)} ${y.toFixed(1)}`;
  });
  const first = logs.findIndex((_, i) => bad?.(i));
  return (
    <svg class="jd-spark-small" viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      <path d={line} class="jd-spark-line" />
      {first >= 0 && (
        <rect class="jd-spark-bad" x={x(first) - 2} y="0" width="4" height={height} />
      )}
      {at !== undefined && at >= 0 && (
        <line class="jd-spark-at" x1={x(at)} x2={x(at)} y1="0" y2={height} />
      )}
    </svg>
  );
}
