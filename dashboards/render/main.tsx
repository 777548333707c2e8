// A dashboard on one page, every variable at `All`. What became of each panel is left in `window.__report`.
import { ThemeContext, type DataFrame } from "@grafana/data";
import { GlobalStyles, PanelChrome, PortalContainer } from "@grafana/ui";
import { Component, useEffect, useState, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { RANGE, dataOf, variablesOf, type Variables } from "./data";
import { Drawing } from "./draw";
import { theme } from "./theme";

const WIDTH = 1600;
const [UNIT, GAP, TOP] = [38, 8, 44];
// Of a panel that repeats, so many are drawn.
const REPEATED = 6;
const report: any[] = ((window as any).__report = []);

function Panel({ panel, variables, top }: { panel: any; variables: Variables; top: number }) {
  const [frames, setFrames] = useState<DataFrame[] | null>(null);
  useEffect(() => {
    dataOf(panel, variables).then(
      (found) => { report.push({ title: panel.title, type: panel.type, series: found.length }); setFrames(found); },
      (error) => { report.push({ title: panel.title, type: panel.type, error: String(error) }); },
    );
  }, []);
  const { x, w, h } = panel.gridPos;
  const empty = panel.fieldConfig.defaults.noValue ?? "No data";
  return (
    <div style={{ position: "absolute", left: (x * WIDTH) / 24 + GAP / 2, top: top * UNIT + TOP }}>
      <PanelChrome title={panel.title} description={panel.description} width={(w * WIDTH) / 24 - GAP} height={h * UNIT - GAP}>
        {(width, height) => frames && (frames.length
          ? <Drawing panel={panel} frames={frames} width={width} height={height} />
          : <div style={{ color: theme.colors.text.secondary }}>{empty}</div>)}
      </PanelChrome>
    </div>
  );
}

type Placed = { panel: any; variables: Variables; top: number };

// A panel that repeats beside itself becomes one for each value; what stands below moves down.
function repeated(panels: any[], values: Record<string, string[]>): any[] {
  let shift = 0;
  return panels.flatMap((panel: any) => {
    const { x, y, w, h } = panel.gridPos;
    const moved = { ...panel, gridPos: { x, y: y + shift, w, h } };
    if (panel.type === "row" || !panel.repeat) return [moved];
    const wide = 24 / panel.maxPerRow;
    const chosen = (values[panel.repeat] ?? []).slice(0, REPEATED);
    const start = y + shift;
    shift += h * (Math.ceil(chosen.length / panel.maxPerRow) - 1);
    return chosen.map((value, at) => ({
      ...moved, chosen: { [panel.repeat]: value },
      gridPos: { x: (at % panel.maxPerRow) * wide, y: start + h * Math.floor(at / panel.maxPerRow), w: wide, h },
    }));
  });
}

function placed(dashboard: any, variables: Variables, values: Record<string, string[]>): { all: Placed[]; bottom: number } {
  const panels = repeated(dashboard.panels, values);
  const all = panels.map((panel) => ({ panel, variables: { ...variables, ...panel.chosen }, top: panel.gridPos.y }));
  return { all, bottom: Math.max(...panels.map((panel) => panel.gridPos.y + panel.gridPos.h)) };
}

function Row({ title, top }: { title: string; top: number }) {
  return <div style={{ position: "absolute", left: GAP, top: top * UNIT + TOP, fontSize: 16, fontWeight: 500 }}>{title}</div>;
}

function titleOf(text: string, variables: Variables) {
  return text.replace(/\$\{?(\w+)\}?/g, (whole, name) => variables[name] ?? whole);
}

function Dashboard() {
  const [shown, setShown] = useState<{ title: string; all: Placed[]; bottom: number } | null>(null);
  useEffect(() => {
    (async () => {
      const dashboard = await (await fetch("/dashboard.json")).json();
      const { variables, values } = await variablesOf(dashboard);
      const laid = placed(dashboard, variables, values);
      (window as any).__expected = laid.all.filter(({ panel }) => panel.type !== "row").length;
      setShown({ title: dashboard.title, ...laid });
    })().catch((error) => { (window as any).__failed = String(error); });
  }, []);
  if (!shown) return null;
  return (
    <div style={{ position: "relative", width: WIDTH, height: shown.bottom * UNIT + TOP + GAP, color: theme.colors.text.primary, fontFamily: "Inter, DejaVu Sans, sans-serif" }}>
      <div style={{ padding: 12, fontSize: 18 }}>{shown.title} <small style={{ color: theme.colors.text.secondary }}>the last {RANGE} s</small></div>
      {shown.all.map(({ panel, variables, top }, place) => panel.type === "row"
        ? <Row key={place} title={titleOf(panel.title, variables)} top={top} />
        : <Panel key={place} panel={{ ...panel, title: titleOf(panel.title, variables) }} variables={variables} top={top} />)}
    </div>
  );
}

class Caught extends Component<{ children: ReactNode }, { error?: string }> {
  state: { error?: string } = {};
  static getDerivedStateFromError(error: unknown) {
    (window as any).__failed = String(error);
    return { error: String(error) };
  }
  render() {
    return this.state.error ? <pre style={{ color: "red" }}>{this.state.error}</pre> : this.props.children;
  }
}

createRoot(document.getElementById("root")!).render(
  <Caught><ThemeContext.Provider value={theme}><GlobalStyles /><PortalContainer /><Dashboard /></ThemeContext.Provider></Caught>,
);
