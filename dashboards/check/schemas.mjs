// Writes schemas.json: JSON Schemas made from the TypeScript types of the dashboards that Grafana publishes.
import { writeFileSync } from "node:fs";
import { createGenerator } from "ts-json-schema-generator";

const TYPES = "node_modules/@grafana/grafana-foundation-sdk/dist";
// Folder of the types by the panel type that stands in a dashboard.
const PANELS = { bargauge: "bargauge", heatmap: "heatmap", stat: "stat", "state-timeline": "statetimeline", "status-history": "statushistory",
  table: "table", text: "text", timeseries: "timeseries" };

function schema(folder, type) {
  const made = createGenerator({ path: `${TYPES}/${folder}/types.gen.d.ts`, type, skipTypeCheck: true, additionalProperties: false,
    expose: "all", topRef: true }).createSchema(type);
  return relaxed(made);
}

// Grafana fills in whatever is left out, so nothing is required; but nothing unknown is allowed either.
function relaxed(node) {
  if (Array.isArray(node)) return node.map(relaxed);
  if (node === null || typeof node !== "object") return node;
  const entries = Object.entries(node).filter(([key, value]) => !(key === "required" && Array.isArray(value)));
  return Object.fromEntries(entries.map(([key, value]) => [key, relaxed(value)]));
}

const schemas = { dashboard: schema("dashboard", "Dashboard"), panel: schema("dashboard", "Panel"), query: schema("prometheus", "Dataquery"), panels: {} };
for (const [name, folder] of Object.entries(PANELS)) {
  const known = { options: schema(folder, "Options") };
  // Panels that draw no field by field have no settings of fields.
  try {
    known.custom = schema(folder, "FieldConfig");
  } catch (error) {
    if (!String(error.message).includes("FieldConfig")) throw error;
  }
  schemas.panels[name] = known;
}
writeFileSync("schemas.json", JSON.stringify(schemas));
console.log(`${Object.keys(PANELS).length} kinds of panels described`);
