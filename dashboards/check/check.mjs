// Checks dashboards: `node check.mjs FILE…`. Unknown keys, wrong values, PromQL that does not parse, broken rules; 1 if any.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import Ajv from "ajv";
import { lint, panels } from "./lint.mjs";

const SCHEMAS = JSON.parse(readFileSync(new URL("schemas.json", import.meta.url)));
const ajv = new Ajv({ strict: false, allErrors: true, allowUnionTypes: true });
const compiled = new Map();

function misfits(name, schema, value) {
  if (!compiled.has(name)) compiled.set(name, ajv.compile(schema));
  const check = compiled.get(name);
  if (check(value)) return [];
  // That no branch of an alternative fits says nothing beside the branches themselves.
  const told = check.errors.filter((error) => error.keyword !== "anyOf");
  return told.map((error) => `${error.instancePath} ${error.message} ${error.params.additionalProperty ?? error.params.allowedValues ?? ""}`.trim());
}

export function problems(dashboard) {
  // The types leave panels, options and queries open; each is held against its own.
  const found = misfits("dashboard", SCHEMAS.dashboard, { ...dashboard, panels: [] });
  for (const panel of panels(dashboard.panels)) {
    const say = (what) => found.push(`"${panel.title}" [${panel.type}]: ${what}`);
    const { targets = [], options = {}, ...rest } = panel;
    misfits("panel", SCHEMAS.panel, rest).forEach(say);
    const known = SCHEMAS.panels[panel.type];
    if (!known) {
      say("there is no such kind of panel");
      continue;
    }
    misfits(`${panel.type} options`, known.options, options).forEach(say);
    const custom = panel.fieldConfig?.defaults?.custom;
    if (custom && known.custom) misfits(`${panel.type} custom`, known.custom, custom).forEach(say);
    for (const target of targets) misfits("query", SCHEMAS.query, target).forEach((what) => say(`query ${target.refId}: ${what}`));
  }
  return [...new Set([...found, ...lint(dashboard)])];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  let wrong = 0;
  for (const file of process.argv.slice(2)) {
    for (const problem of problems(JSON.parse(readFileSync(file)))) {
      console.log(`${file}: ${problem}`);
      wrong += 1;
    }
  }
  console.log(wrong ? `${wrong} problems` : `${process.argv.length - 2} dashboards are well-formed`);
  process.exit(wrong ? 1 : 0);
}
