// Every resource of the named files against its schema: Kubernetes', the Prometheus Operator's, and ours for Google's kinds, which no
// package holds (gmp.json, after the fields that its CRDs require). Then against the restricted profile of Pod Security.
//   node schemas.mjs NODE_MODULES FILE...
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const from = createRequire(path.resolve(modules, "x.js"));
const YAML = from("yaml");
const Ajv = from("ajv");
const gmp = JSON.parse(fs.readFileSync(new URL("gmp.json", import.meta.url), "utf8"));
const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false });
const google = Object.fromEntries(Object.entries(gmp).map(([kind, schema]) => [kind, ajv.compile(schema)]));

/** Throws when `resource` is not what its kind says. */
async function validate(resource) {
  const [group, version] = resource.apiVersion.includes("/") ? resource.apiVersion.split("/") : ["", resource.apiVersion];
  if (group === "monitoring.googleapis.com") {
    const valid = google[resource.kind];
    if (!valid) throw new Error(`no schema for ${resource.kind}`);
    if (!valid(resource)) throw new Error(ajv.errorsText(valid.errors));
    return;
  }
  if (group === "kustomize.config.k8s.io") return;
  const home = group === "monitoring.coreos.com" ? "@kubernetes-models/prometheus-operator" : "kubernetes-models";
  const kinds = await import(pathToFileURL(path.resolve(modules, home, group, version, "index.js")));
  const Kind = kinds[resource.kind];
  if (!Kind) throw new Error(`no schema for ${resource.apiVersion} ${resource.kind}`);
  new Kind(resource).validate();
}

/** What the restricted profile misses in a pod. */
function restricted(pod) {
  const wrong = [];
  const own = pod.securityContext ?? {};
  for (const name of ["hostNetwork", "hostPID", "hostIPC"]) if (pod[name]) wrong.push(name);
  for (const volume of pod.volumes ?? []) if (volume.hostPath) wrong.push(`hostPath ${volume.name}`);
  for (const container of [...(pod.containers ?? []), ...(pod.initContainers ?? [])]) {
    const context = container.securityContext ?? {};
    const say = (text) => wrong.push(`${container.name}: ${text}`);
    if ((context.runAsNonRoot ?? own.runAsNonRoot) !== true) say("runAsNonRoot");
    if ((context.runAsUser ?? own.runAsUser) === 0) say("runAsUser 0");
    if (context.allowPrivilegeEscalation !== false) say("allowPrivilegeEscalation");
    if (!context.capabilities?.drop?.includes("ALL") || context.capabilities.add?.length) say("capabilities");
    if (!["RuntimeDefault", "Localhost"].includes((context.seccompProfile ?? own.seccompProfile)?.type)) say("seccompProfile");
    if (context.readOnlyRootFilesystem !== true) say("readOnlyRootFilesystem");
    if (!container.resources?.limits?.memory) say("a memory limit");
    if ((container.env ?? []).some((entry) => entry.valueFrom?.secretKeyRef)) say("a secret in the environment");
  }
  if (pod.automountServiceAccountToken !== false) wrong.push("automountServiceAccountToken");
  return wrong;
}

/** Whether a spoiled copy is refused: a check that cannot fail would prove nothing. */
async function mustRefuse(resource, spoil, what) {
  const copy = structuredClone(resource);
  spoil(copy);
  let refused = false;
  try {
    await validate(copy);
    refused = copy.kind === "Deployment" && restricted(copy.spec.template.spec).length > 0;
  } catch {
    refused = true;
  }
  if (!refused) throw new Error(`${resource.kind} with ${what} is accepted`);
}

const SPOILED = {
  Deployment: [
    [(r) => (r.spec.replicas = "one"), "replicas: one"],
    [(r) => delete r.spec.selector, "no selector"],
    [(r) => delete r.spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation, "privilege escalation"],
    [(r) => (r.spec.template.spec.securityContext.runAsNonRoot = false), "root"],
  ],
  PrometheusRule: [[(r) => delete r.spec.groups[0].rules[0].expr, "a rule without expr"]],
  ServiceMonitor: [[(r) => delete r.spec.selector, "no selector"]],
  Rules: [
    [(r) => delete r.spec.groups[0].interval, "no interval"],
    [(r) => (r.spec.groups[0].rules[0].keep = "1m"), "an unknown key"],
  ],
  PodMonitoring: [[(r) => delete r.spec.endpoints[0].port, "no port"]],
};

let resources = 0;
let spoiled = 0;
for (const file of files) {
  for (const document of YAML.parseAllDocuments(fs.readFileSync(file, "utf8"))) {
    if (document.errors.length) throw new Error(`${file}: ${document.errors[0].message}`);
    const resource = document.toJS();
    if (!resource) continue;
    try {
      await validate(resource);
      const wrong = resource.kind === "Deployment" ? restricted(resource.spec.template.spec) : [];
      if (wrong.length) throw new Error(`not restricted: ${wrong.join(", ")}`);
      for (const [spoil, what] of SPOILED[resource.kind] ?? []) {
        await mustRefuse(resource, spoil, what);
        spoiled += 1;
      }
    } catch (error) {
      console.error(`error: ${file}: ${resource.kind} ${resource.metadata?.name ?? ""}: ${error.message}`);
      process.exit(1);
    }
    resources += 1;
  }
}
if (resources < 10 || spoiled < 8) throw new Error(`only ${resources} resources and ${spoiled} spoiled ones were looked at`);
console.log(`ok    ${resources} resources are valid and restricted; ${spoiled} spoiled ones are refused`);
