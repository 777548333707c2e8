// From a dashboard's queries to Grafana's data frames: variables, ranges and formats as Grafana treats them.
import {
  FieldType, Registry, applyFieldOverrides, dateTime, standardTransformers, standardTransformersRegistry, toDataFrame,
  transformDataFrame, type DataFrame,
} from "@grafana/data";
import { lastValueFrom } from "rxjs";
import { theme } from "./theme";

const asked = new URLSearchParams(location.search);
export const NOW = Math.floor(Date.now() / 1000);
export const RANGE = Number(asked.get("range") ?? 300);
const SCRAPE = 5;
export const STEP = Math.max(SCRAPE, Math.ceil(RANGE / 150));
export const timeRange: any = { from: dateTime((NOW - RANGE) * 1000), to: dateTime(NOW * 1000), raw: { from: "now", to: "now" } };

// Some transformers are registered twice; the last one counts.
standardTransformersRegistry.setInit(() => {
  const all = new Map(Object.values(standardTransformers as any).map((one: any) => [one.id, one]));
  return [...all.values()].map((one: any) => ({ id: one.id, name: one.name ?? one.id, transformation: () => Promise.resolve(one) })) as any;
});

const STANDARD = ["unit", "min", "max", "decimals", "displayName", "color", "noValue", "links", "mappings", "thresholds", "filterable"];
const CUSTOM = ["cellOptions", "lineWidth", "fillOpacity", "lineStyle", "thresholdsStyle", "drawStyle", "axisPlacement", "hideFrom", "width",
  "stacking", "hidden", "align", "pointSize", "showPoints", "spanNulls", "minWidth"];
const property = (id: string, path: string, isCustom: boolean) =>
  ({ id, path, isCustom, name: id, process: (value: any) => value, shouldApply: () => true, override: () => null, editor: () => null });
const properties = new Registry<any>(() => [
  ...STANDARD.map((id) => property(id, id, false)), ...CUSTOM.map((id) => property(`custom.${id}`, id, true)),
]);

async function get(path: string, query: Record<string, any>) {
  const answer = await (await fetch(`/prometheus/api/v1/${path}?${new URLSearchParams(query)}`)).json();
  if (answer.status !== "success") throw new Error(answer.error);
  return answer.data;
}

export type Variables = Record<string, string>;

function fillIn(text: string, variables: Variables) {
  return text
    .replace(/\$__rate_interval\b/g, "1m").replace(/\$__interval\b/g, `${STEP}s`).replace(/\$__range\b/g, `${RANGE}s`)
    .replace(/\$\{?(\w+)(?::\w+)?\}?/g, (whole, name) => variables[name] ?? whole);
}

// Every variable at `All`, or as it was asked for, and the values that it has.
export async function variablesOf(dashboard: any) {
  const variables: Variables = {};
  const values: Record<string, string[]> = {};
  for (const variable of dashboard.templating.list) {
    if (variable.type === "datasource") continue;
    const [, match, label] = /label_values\((.+),\s*(\w+)\)$/.exec(variable.query.query)!;
    values[variable.name] = await get(`label/${label}/values`, { "match[]": fillIn(match, variables) });
    const chosen = asked.get(variable.name);
    if (chosen) values[variable.name] = [chosen];
    variables[variable.name] = chosen ?? variable.allValue ?? values[variable.name].join("|");
  }
  return { variables, values };
}

async function framesOf(target: any, variables: Variables): Promise<DataFrame[]> {
  const query = fillIn(target.expr, variables);
  const at = (values: any[]) => ({ name: "Time", type: FieldType.time, values: values.map((time) => time * 1000) });
  if (target.format === "table") {
    const { result } = await get("query", { query, time: NOW });
    const labels = [...new Set<string>(result.flatMap((row: any) => Object.keys(row.metric)))];
    const texts = labels.map((name) => ({ name, type: FieldType.string, values: result.map((row: any) => row.metric[name] ?? "") }));
    const numbers = { name: `Value #${target.refId}`, type: FieldType.number, values: result.map((row: any) => Number(row.value[1])) };
    return [toDataFrame({ refId: target.refId, fields: [at(result.map((row: any) => row.value[0])), ...texts, numbers] })];
  }
  const times = Array.from({ length: Math.floor(RANGE / STEP) + 1 }, (_, place) => NOW - RANGE + place * STEP);
  const { result } = target.instant
    ? await get("query", { query, time: NOW })
    : await get("query_range", { query, start: NOW - RANGE, end: times.at(-1), step: STEP });
  return result.map((series: any) => {
    const known = new Map<number, string>(target.instant ? [series.value] : series.values);
    const shown = target.instant ? [series.value[0]] : times;
    const name = target.legendFormat?.replace(/\{\{\s*(\w+)\s*\}\}/g, (_: string, label: string) => series.metric[label] ?? "");
    const values = shown.map((time: number) => (known.has(time) && known.get(time) !== "NaN" ? Number(known.get(time)) : null));
    return toDataFrame({
      refId: target.refId,
      fields: [at(shown), { name: "Value", type: FieldType.number, labels: series.metric, config: { displayNameFromDS: name }, values }],
    });
  });
}

// The frames of a panel, transformed and with its field configuration applied by Grafana's own code.
export async function dataOf(panel: any, variables: Variables): Promise<DataFrame[]> {
  let frames = (await Promise.all(panel.targets.map((target: any) => framesOf(target, variables)))).flat() as DataFrame[];
  if (panel.transformations?.length) {
    frames = await lastValueFrom(transformDataFrame(panel.transformations, frames, { interpolate: (text: string) => fillIn(text, variables) } as any) as any);
  }
  return applyFieldOverrides({
    data: frames, fieldConfig: panel.fieldConfig, fieldConfigRegistry: properties, replaceVariables: (text: string) => fillIn(text, variables), theme,
    timeZone: "utc",
  });
}
