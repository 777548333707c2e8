#!/bin/sh
# Renders every dashboard with Grafana's component libraries: PROMETHEUS=http://… dashboards/render/run.sh FOLDER
# Opt-in, because the packages are 500 MB; they go below target/third-party/grafana. `tests/see/stack.py --dashboards FOLDER`
# calls it during an incident.
set -eu
[ $# = 1 ] && [ -n "${PROMETHEUS:-}" ] || { echo "usage: PROMETHEUS=http://HOST:PORT $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
OUT=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
root=$PWD
work=target/third-party/grafana
mkdir -p "$work"
cp -p dashboards/render/* "$work/"
[ -d "$work/node_modules/@grafana/ui" ] || npm install --legacy-peer-deps --silent --no-audit --no-fund --ignore-scripts --prefix "$work"
cd "$work"
[ -s dist/index.html ] && [ -z "$(find ./*.ts ./*.tsx ./*.html -newer dist/index.html)" ] || npx vite build --logLevel error
OUT=$OUT node render.mjs "$root"/dashboards/grafana/*.json
