// One panel, drawn by Grafana's component of its type. State timeline, status history and heatmap are not published: those
// are stand-ins that use Grafana's display processors and colours.
import { getDisplayValueAlignmentFactors, getFieldDisplayName, getFieldDisplayValues, getValueFormat, type DataFrame } from "@grafana/data";
import { BarGauge, BigValue, BigValueJustifyMode, BigValueTextMode, Table, TimeSeries } from "@grafana/ui";
import { NOW, RANGE, STEP, timeRange } from "./data";
import { theme } from "./theme";

type Drawn = { panel: any; frames: DataFrame[]; width: number; height: number };
// What row labels may take: as much as the longest needs, and no more than this share of the panel.
const SHARE = 0.3;
const CHARACTER = 7;

export function Drawing({ panel, frames, width, height }: Drawn) {
  const drawn = { panel, frames, width, height };
  switch (panel.type) {
    case "timeseries":
      return <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options} />;
    case "table":
      return <Table data={frames[0]} width={width} height={height} cellHeight={panel.options.cellHeight} initialSortBy={panel.options.sortBy} />;
    case "stat":
      return <Stats {...drawn} />;
    case "bargauge":
      return <Gauges {...drawn} />;
    case "state-timeline":
      return <Cells {...drawn} merged />;
    case "status-history":
      return <Cells {...drawn} />;
    case "heatmap":
      return <Heat {...drawn} />;
    default:
      throw new Error(`no drawing of ${panel.type}`);
  }
}

function values({ panel, frames }: Drawn) {
  return getFieldDisplayValues({
    data: frames, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text: string) => text, theme,
    sparkline: panel.options.graphMode !== "none", timeZone: "utc",
  });
}

function Stats(drawn: Drawn) {
  const shown = values(drawn);
  const { options } = drawn.panel;
  return (
    <div style={{ display: "flex" }}>
      {shown.map((value, place) => (
        <BigValue key={place} value={value.display} sparkline={value.sparkline} width={drawn.width / shown.length} height={drawn.height} theme={theme}
          colorMode={options.colorMode} graphMode={options.graphMode ?? "none"} textMode={options.textMode ?? BigValueTextMode.Auto} justifyMode={BigValueJustifyMode.Auto} />
      ))}
    </div>
  );
}

function Gauges(drawn: Drawn) {
  const shown = values(drawn);
  const alignmentFactors = getDisplayValueAlignmentFactors(shown);
  return (
    <div>
      {shown.map((value, place) => (
        <BarGauge key={place} value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex!)} width={drawn.width}
          height={Math.min(30, drawn.height / shown.length - 4)} orientation={"horizontal" as any} displayMode={drawn.panel.options.displayMode} theme={theme}
          itemSpacing={4} lcdCellWidth={12} alignmentFactors={alignmentFactors} text={{ titleSize: 12, valueSize: 14 }} />
      ))}
    </div>
  );
}

const room = (names: string[], width: number) => Math.min(width * SHARE, 16 + CHARACTER * Math.max(...names.map((name) => name.length)));

// Where a time stands between the labels and the right edge.
const placed = (time: number, labels: number, width: number) => labels + ((time - (NOW - RANGE) * 1000) / (RANGE * 1000)) * (width - labels - 8);

type Cell = { from: number; to: number; text: string; color?: string };

// Neighbours of one text become one cell when they are merged.
function cellsOf(times: number[], shown: any[], display: any, merged: boolean): Cell[] {
  const cells: Cell[] = [];
  times.forEach((from, at) => {
    if (shown[at] === null) return;
    const { text, color } = display(shown[at]);
    const to = times[at + 1] ?? Math.min(from + STEP * 1000, NOW * 1000);
    const last = cells.at(-1);
    if (merged && last?.text === text && last.to === from) last.to = to;
    else cells.push({ from, to, text, color });
  });
  return cells;
}

function Cells({ frames, width, height, merged = false }: Drawn & { merged?: boolean }) {
  const rows = frames.flatMap((frame) => frame.fields.filter((field) => field.type === "number").map((field) => ({
    name: getFieldDisplayName(field, frame, frames),
    cells: cellsOf(frame.fields[0].values, field.values, field.display, merged),
  })));
  const tall = Math.max(12, (height - 4) / Math.max(1, rows.length));
  const labels = room(rows.map((row) => row.name), width);
  const place = (time: number) => placed(time, labels, width);
  return (
    <svg width={width} height={height} fontFamily="Inter, sans-serif" fontSize={12}>
      {rows.map((row, at) => (
        <g key={at} transform={`translate(0, ${at * tall})`}>
          <text x={labels - 8} y={tall / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{row.name}</text>
          {row.cells.map((cell, number) => {
            const wide = place(cell.to) - place(cell.from);
            return (
              <g key={number}>
                <rect x={place(cell.from)} y={1} width={Math.max(1, wide - 1)} height={tall - 2} fill={cell.color} opacity={0.85} />
                {wide > 50 && <text x={place(cell.from) + 6} y={tall / 2 + 4} fill="#fff">{cell.text}</text>}
              </g>
            );
          })}
        </g>
      ))}
    </svg>
  );
}

const HEAT_LABELS = 60;

function Heat({ panel, frames, width, height }: Drawn) {
  const bound = (frame: DataFrame) => frame.fields[1].labels?.le ?? "+Inf";
  const order = (le: string) => (le === "+Inf" ? Infinity : Number(le));
  const rows = [...frames].sort((a, b) => order(bound(a)) - order(bound(b)));
  // Buckets are cumulative: a row shows what it has beyond the row below it.
  const counts = rows.map((row, at) => row.fields[1].values.map((count: number, time: number) =>
    Math.max(0, (count ?? 0) - (at ? rows[at - 1].fields[1].values[time] ?? 0 : 0))));
  const most = Math.max(...counts.flat(), 1e-9);
  const [tall, wide] = [height / rows.length, Math.max(1, ((width - HEAT_LABELS) / RANGE) * STEP)];
  const format = getValueFormat(panel.options.yAxis?.unit);
  return (
    <svg width={width} height={height} fontFamily="Inter, sans-serif" fontSize={10}>
      {rows.map((row, at) => {
        const le = bound(row);
        const label = le === "+Inf" ? { text: le, suffix: "" } : format(Number(le));
        const top = height - (at + 1) * tall;
        return (
          <g key={le}>
            <text x={HEAT_LABELS - 6} y={top + tall / 2 + 3} textAnchor="end" fill={theme.colors.text.secondary}>{label.text}{label.suffix}</text>
            {counts[at].map((count: number, time: number) => count > most / 1000 && (
              <rect key={time} x={placed(row.fields[0].values[time], HEAT_LABELS, width)} y={top} width={wide} height={tall - 1} fill={`rgba(255, 152, 48, ${0.15 + (0.85 * count) / most})`} />
            ))}
          </g>
        );
      })}
    </svg>
  );
}
