#!/bin/sh
# Tests everything under deploy/ with the real tools: promtool, amtool, blackbox_exporter.
# Debian: apt-get install prometheus prometheus-alertmanager prometheus-blackbox-exporter
set -eu
export PYTHONDONTWRITEBYTECODE=1
cd "$(dirname "$0")"

for tool in promtool amtool prometheus-blackbox-exporter python3; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing: see the head of this file" >&2; exit 2; }
done

echo "== rules are what the generator writes"
python3 prometheus/generate.py --check
python3 prometheus/test_generate.py

echo "== promtool"
promtool check config prometheus/prometheus.yml
promtool test rules prometheus/tests/*.yml

echo "== amtool"
amtool check-config alertmanager/alertmanager.yml
sed -e '/^#/d' -e '/^$/d' alertmanager/routes.txt | while IFS= read -r line; do
    expected=${line%% = *}
    labels=${line#* = }
    # shellcheck disable=SC2086 # the labels are words
    got=$(amtool config routes test --config.file=alertmanager/alertmanager.yml $labels 2>/dev/null)
    [ "$got" = "$expected" ] || { echo "error: $labels goes to $got instead of $expected" >&2; exit 1; }
    echo "ok    $expected: $labels"
done

echo "== blackbox_exporter"
prometheus-blackbox-exporter --config.file=blackbox/blackbox.yml --config.check 2>/dev/null
python3 blackbox/test_prober.py
echo "deploy: all good"
