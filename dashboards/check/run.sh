#!/bin/sh
# Checks the dashboards without Grafana: `dashboards/check/run.sh`. Types, PromQL and the rules of lint.mjs.
# Packages go below target/third-party/dashboards; the schemas are made there once from the types that Grafana publishes.
set -eu
cd "$(dirname "$0")/../.."
work=target/third-party/dashboards
mkdir -p "$work"
cp dashboards/check/package.json dashboards/check/package-lock.json dashboards/check/*.mjs "$work/"
[ -d "$work/node_modules/ajv" ] || npm ci --silent --no-audit --no-fund --ignore-scripts --prefix "$work" ||
    { echo "error: the packages of dashboards/check/package-lock.json cannot be had: is npm's registry reachable?" >&2; exit 1; }
[ -s "$work/schemas.json" ] || (cd "$work" && node schemas.mjs)
node "$work/planted.mjs" dashboards/grafana/stagewatch-overview.json
node "$work/check.mjs" dashboards/grafana/*.json
