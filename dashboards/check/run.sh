#!/bin/sh
# Checks the dashboards without Grafana: `dashboards/check/run.sh`. Types, PromQL and the rules of lint.mjs.
# Packages go below target/third-party/dashboards; the schemas are made there once from the types that Grafana publishes.
set -eu
cd "$(dirname "$0")/../.."
work=target/third-party/dashboards
mkdir -p "$work"
cp dashboards/check/package.json dashboards/check/*.mjs "$work/"
[ -d "$work/node_modules/ajv" ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$work"
[ -s "$work/schemas.json" ] || (cd "$work" && node schemas.mjs)
node "$work/planted.mjs" dashboards/stagewatch-overview.json
node "$work/check.mjs" dashboards/*.json
