// The control: faults planted into a good dashboard have to be found, each of them.
import { readFileSync } from "node:fs";
import { problems } from "./check.mjs";
import { panels } from "./lint.mjs";

const text = readFileSync(process.argv[2]);
const first = (dashboard, type) => [...panels(dashboard.panels)].find((panel) => panel.type === type);
const PLANTED = {
  "a key of the dashboard": (it) => { it.refesh = "1m"; },
  "a key of a panel": (it) => { first(it, "stat").titel = "x"; },
  "an option's value": (it) => { first(it, "stat").options.colorMode = "bakground"; },
  "a key of an option": (it) => { first(it, "timeseries").options.legnd = {}; },
  "a setting of a field": (it) => { first(it, "timeseries").fieldConfig.defaults.custom.linewidth = 2; },
  "a key of a query": (it) => { first(it, "stat").targets[0].legend = "x"; },
  "a kind of panel": (it) => { first(it, "stat").type = "sat"; },
  "a query that does not parse": (it) => { first(it, "stat").targets[0].expr = "sum(up{"; },
  "a selector without its job": (it) => { first(it, "stat").targets[0].expr = "sum(stagewatch_module_checks)"; },
  "a bare counter": (it) => { first(it, "stat").targets[0].expr = 'stagewatch_log_messages_total{job=~"$job",instance=~"$instance"}'; },
  "a bound that is not exposed": (it) => { first(it, "stat").targets[0].expr = 'sum(x_bucket{job=~"$job",instance=~"$instance",le="1"})'; },
  "a fixed window of a rate": (it) => { first(it, "stat").targets[0].expr = 'rate(x_total{job=~"$job",instance=~"$instance"}[5m])'; },
  "a panel without advice": (it) => { delete first(it, "stat").description; },
  "a panel without a unit": (it) => { const its = first(it, "timeseries").fieldConfig.defaults; delete its.unit; delete its.mappings; },
};

const before = problems(JSON.parse(text)).length;
const missed = Object.entries(PLANTED).filter(([, plant]) => {
  const dashboard = JSON.parse(text);
  plant(dashboard);
  return problems(dashboard).length <= before;
});
for (const [name] of missed) console.log(`not found: ${name}`);
console.log(`${Object.keys(PLANTED).length - missed.length} of ${Object.keys(PLANTED).length} planted faults found`);
process.exit(missed.length ? 1 : 0);
