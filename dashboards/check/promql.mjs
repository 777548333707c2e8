// What a PromQL expression is made of, as far as the rules need it.
import { parser } from "@prometheus-io/lezer-promql";

// Grafana's variables as values that PromQL can read.
export function filledIn(expr) {
  return expr.replace(/\$__(rate_interval|interval|range)\b/g, "5m").replace(/\$\{?\w+\}?/g, "x");
}

// Whether it parses; its selectors with their matchers and the functions around each.
export function read(expr) {
  const text = filledIn(expr);
  const selectors = [];
  let broken = false;
  const functions = [];
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) broken = true;
      if (node.name === "FunctionCall") functions.push(text.slice(node.from, node.to).split("(", 1)[0].trim());
      if (node.name === "VectorSelector") {
        const written = text.slice(node.from, node.to);
        const [name, inside = ""] = written.split(/\{/, 2);
        const matchers = [...inside.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(([, label, how, value]) => ({ label, how, value }));
        selectors.push({ name: name.trim(), matchers, within: [...functions] });
      }
    },
    leave(node) {
      if (node.name === "FunctionCall") functions.pop();
    },
  });
  return { broken, selectors };
}
