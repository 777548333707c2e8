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
// Of a row that repeats, so many are drawn.
const REPEATED = 3;
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

// Rows take their place; one that repeats is drawn for some of its values, below each other.
function placed(dashboard: any, variables: Variables, values: Record<string, string[]>): { all: Placed[]; bottom: number } {
  const all: Placed[] = [];
  let [shift, bottom] = [0, 0];
  const put = (panel: any, known: Variables, top: number) => {
    all.push({ panel, variables: known, top });
    bottom = Math.max(bottom, top + panel.gridPos.h);
  };
  const repeating = dashboard.panels.findIndex((panel: any) => panel.type === "row" && panel.repeat);
  const once = repeating < 0 ? dashboard.panels : dashboard.panels.slice(0, repeating);
  for (const panel of once) put(panel, variables, panel.gridPos.y);
  const again = repeating < 0 ? [] : dashboard.panels.slice(repeating);
  for (const value of (values[again[0]?.repeat] ?? []).slice(0, REPEATED)) {
    const known = { ...variables, [again[0].repeat]: value };
    const first = again[0].gridPos.y;
    const start = first + shift;
    for (const panel of again) put(panel, known, start + panel.gridPos.y - first);
    shift += Math.max(...again.map((panel: any) => panel.gridPos.y + panel.gridPos.h)) - first;
  }
  return { all, bottom };
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
