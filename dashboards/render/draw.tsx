// One panel, drawn by Grafana's component of its type. State timeline, status history and heatmap are not published: those
// are stand-ins that use Grafana's display processors and colours.
import { getFieldDisplayName, getFieldDisplayValues, getValueFormat, type DataFrame } from "@grafana/data";
import { BarGauge, BigValue, BigValueJustifyMode, BigValueTextMode, Table, TimeSeries } from "@grafana/ui";
import { NOW, RANGE, STEP, timeRange } from "./data";
import { theme } from "./theme";

type Drawn = { panel: any; frames: DataFrame[]; width: number; height: number };
const LABELS = 190;

export function Drawing({ panel, frames, width, height }: Drawn) {
  const drawn = { panel, frames, width, height };
  switch (panel.type) {
    case "timeseries":
      return <TimeSeries frames={frames} width={width} height={height} timeRange={timeRange} timeZone="utc" legend={panel.options.legend} options={panel.options} />;
    case "table":
      return <Table data={frames[0]} width={width} height={height} cellHeight={panel.options.cellHeight} />;
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
  return (
    <div>
      {shown.map((value, place) => (
        <BarGauge key={place} value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex!)} width={drawn.width}
          height={Math.min(30, drawn.height / shown.length - 4)} orientation={"horizontal" as any} displayMode={drawn.panel.options.displayMode} theme={theme}
          itemSpacing={4} lcdCellWidth={12} />
      ))}
    </div>
  );
}

const place = (time: number, width: number) => LABELS + ((time - (NOW - RANGE) * 1000) / (RANGE * 1000)) * (width - LABELS - 8);

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
  return (
    <svg width={width} height={height} fontFamily="Inter, sans-serif" fontSize={12}>
      {rows.map((row, at) => (
        <g key={at} transform={`translate(0, ${at * tall})`}>
          <text x={LABELS - 8} y={tall / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{row.name}</text>
          {row.cells.map((cell, number) => {
            const wide = place(cell.to, width) - place(cell.from, width);
            return (
              <g key={number}>
                <rect x={place(cell.from, width)} y={1} width={Math.max(1, wide - 1)} height={tall - 2} fill={cell.color} opacity={0.85} />
                {wide > 50 && <text x={place(cell.from, width) + 6} y={tall / 2 + 4} fill="#fff">{cell.text}</text>}
              </g>
            );
          })}
        </g>
      ))}
    </svg>
  );
}

function Heat({ panel, frames, width, height }: Drawn) {
  const bound = (frame: DataFrame) => frame.fields[1].labels?.le ?? "+Inf";
  const order = (le: string) => (le === "+Inf" ? Infinity : Number(le));
  const rows = [...frames].sort((a, b) => order(bound(a)) - order(bound(b)));
  // Buckets are cumulative: a row shows what it has beyond the row below it.
  const counts = rows.map((row, at) => row.fields[1].values.map((count: number, time: number) =>
    Math.max(0, (count ?? 0) - (at ? rows[at - 1].fields[1].values[time] ?? 0 : 0))));
  const most = Math.max(...counts.flat(), 1e-9);
  const [tall, wide] = [height / rows.length, Math.max(1, ((width - LABELS) / RANGE) * STEP)];
  const format = getValueFormat(panel.options.yAxis?.unit);
  return (
    <svg width={width} height={height} fontFamily="Inter, sans-serif" fontSize={10}>
      {rows.map((row, at) => {
        const le = bound(row);
        const label = le === "+Inf" ? { text: le, suffix: "" } : format(Number(le));
        const top = height - (at + 1) * tall;
        return (
          <g key={le}>
            <text x={LABELS - 6} y={top + tall / 2 + 3} textAnchor="end" fill={theme.colors.text.secondary}>{label.text}{label.suffix}</text>
            {counts[at].map((count: number, time: number) => count > most / 1000 && (
              <rect key={time} x={place(row.fields[0].values[time], width)} y={top} width={wide} height={tall - 1} fill={`rgba(255, 152, 48, ${0.15 + (0.85 * count) / most})`} />
            ))}
          </g>
        );
      })}
    </svg>
  );
}
