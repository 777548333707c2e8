#!/usr/bin/env bash
# Everything that has to hold, in one command: ./test.sh
# Installs what it needs when it is root (Debian packages), and packages of other languages below target/third-party.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

# Debian package by the command it brings.
declare -A PACKAGES=(
  [promtool]=prometheus [amtool]=prometheus-alertmanager [prometheus-blackbox-exporter]=prometheus-blackbox-exporter
  [nginx]=nginx-light [chromium]=chromium [python3]=python3 [pip3]=python3-pip [node]=nodejs [npm]=npm [cc]=gcc [systemd-analyze]=systemd
)
missing=()
for command in "${!PACKAGES[@]}"; do
  command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] || missing+=("${PACKAGES[$command]}")
done
export PATH="$PATH:/usr/sbin"
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  if [ "$(id -u)" != 0 ]; then
    echo "not root: install these Debian packages first: ${missing[*]}" >&2
    exit 1
  fi
  apt-get -o DPkg::Lock::Timeout=400 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -y -qq --no-install-recommends "${missing[@]}"
fi

say "third-party servers of other languages"
mkdir -p target/third-party/python target/third-party/node
[ -d target/third-party/python/websockets ] || pip3 install --quiet --target target/third-party/python websockets==17.4
[ -d target/third-party/node/node_modules/ws ] || npm install --silent --no-audit --no-fund --prefix target/third-party/node ws@8.23.0
[ -d target/third-party/python/prometheus_client ] || pip3 install --quiet --target target/third-party/python prometheus_client==0.26.0
[ -d target/third-party/schemathesis/schemathesis ] || pip3 install --quiet --target target/third-party/schemathesis schemathesis==4.32.5
[ -d target/third-party/see/node_modules/axe-core ] || npm install --silent --no-audit --no-fund --prefix target/third-party/see playwright-core@1.55.0 axe-core@4.14.1

say "format, lints, documents"
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

say "dashboards are what their source says, and what Grafana's types and our rules ask for"
python3 dashboards/generate.py --check
dashboards/check/run.sh

say "rules, routes and the independent prober"
deploy/test.sh

say "the shipped configuration"
cargo build --locked
target/debug/stagewatch validate --config config/rehearsal.yaml >/dev/null
echo "config/rehearsal.yaml is valid"

say "supply chain, deployment"
deploy/supply.sh --cheap
deploy/check.sh

say "tests"
cargo test --locked

say "what people see: the expositions, every query of the dashboards during an incident"
python3 tests/see/see.py --only exposition
python3 tests/see/see.py --only queries
