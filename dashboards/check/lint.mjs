// The rules for dashboards, as functions from a dashboard to what is wrong with it (after the rules that Grafana's linter has).
import { read } from "./promql.mjs";

// Series that no scrape of ours labels with job and instance: made by rules, or of no target.
const WITHOUT_TARGET = ["ALERTS"];
// Windows of a number that stands for "now" are written out, so that they mean the same at every zoom.
const COUNTERS_IN = ["rate", "irate", "increase"];
const NEWEST_SCHEMA = 39;

export function lint(dashboard) {
  const problems = [];
  const wrong = (where, what) => problems.push(`${where}: ${what}`);
  whole(dashboard, wrong);
  variables(dashboard, wrong);
  for (const panel of panels(dashboard.panels)) {
    const where = `"${panel.title}" [${panel.type}]`;
    described(panel, (what) => wrong(where, what));
    for (const target of panel.targets ?? []) query(target.expr, (what) => wrong(where, what));
  }
  return problems;
}

export function* panels(list) {
  for (const panel of list) {
    if (panel.type !== "row") yield panel;
    yield* panels(panel.panels ?? []);
  }
}

function whole(dashboard, wrong) {
  const expected = { editable: false, timezone: "utc", graphTooltip: 1, refresh: "1m" };
  for (const [key, value] of Object.entries(expected)) if (dashboard[key] !== value) wrong("dashboard", `${key} is ${dashboard[key]}`);
  if (!dashboard.uid || !dashboard.tags?.includes("stagewatch")) wrong("dashboard", "needs a uid and the tag stagewatch");
  if (dashboard.schemaVersion > NEWEST_SCHEMA) wrong("dashboard", `schemaVersion ${dashboard.schemaVersion} is too new for Grafana 10`);
}

function variables(dashboard, wrong) {
  const [source, ...others] = dashboard.templating.list;
  if (source?.name !== "datasource" || source.type !== "datasource" || source.label !== "Data source") wrong("variables", "the first is `datasource`, labelled Data source");
  for (const name of ["job", "instance"]) if (!others.some((one) => one.name === name)) wrong("variables", `there is no ${name}`);
  for (const one of others) {
    const right = one.type === "query" && one.datasource?.uid === "${datasource}" && one.multi && one.allValue === ".+" && one.refresh === 2 && one.label;
    if (!right) wrong(`variable ${one.name}`, "is a query on ${datasource}, multi, all `.+`, refreshed with the time range, labelled");
  }
}

function described(panel, wrong) {
  const defaults = panel.fieldConfig?.defaults ?? {};
  if (!panel.title || !panel.description) wrong("needs a title and a description that says what to do");
  if (panel.datasource?.uid !== "${datasource}") wrong("does not use ${datasource}");
  if (!panel.targets?.length) wrong("asks nothing");
  if (!defaults.unit && !defaults.mappings?.length) wrong("has no unit");
  if (!defaults.color?.mode) wrong("has no explicit colour mode");
  if (!defaults.noValue) wrong("says nothing when there is no data");
  if (!defaults.thresholds) wrong("has no thresholds");
}

function query(expr, wrong) {
  const { broken, selectors } = read(expr);
  if (broken) return wrong(`PromQL does not parse: ${expr}`);
  if (/\bi?rate\([^)]*\[(?!\$__rate_interval)/.test(expr)) wrong("rate takes $__rate_interval");
  for (const { name, matchers, within } of selectors) {
    if (!WITHOUT_TARGET.includes(name) && !name.includes(":")) {
      for (const label of ["job", "instance"]) {
        if (!matchers.some((one) => one.label === label && one.how === "=~")) wrong(`${name} is asked without ${label}=~"$${label}"`);
      }
    }
    if (name.endsWith("_total") && !within.some((one) => COUNTERS_IN.includes(one))) wrong(`${name} is a counter outside of rate and increase`);
    for (const { value } of matchers.filter((one) => one.label === "le")) {
      // Both expositions write 1.0, so le="1" finds nothing.
      if (value !== "+Inf" && !/^\d+\.\d+$/.test(value)) wrong(`le="${value}" is not written as the exposition writes it`);
    }
  }
}
