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
  [ps]=procps [findmnt]=util-linux [mount]=mount
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
  { apt-get -o DPkg::Lock::Timeout=400 update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=400 install -y -qq --no-install-recommends "${missing[@]}"; } ||
    { echo "error: apt-get cannot install ${missing[*]}: is a mirror of Debian reachable?" >&2; exit 1; }
fi

say "third-party servers of other languages"
third=target/third-party
# Whatever fails half-way is fetched anew: what it leaves behind is taken away.
python() {
  local folder=$third/$1 holds=$2
  shift 2
  [ -d "$folder/$holds" ] || pip3 install --quiet --target "$folder" "$@" ||
    { rm -rf "${folder:?}/$holds"; echo "error: pip3 cannot install $*: is PyPI, or the index that pip is configured with, reachable?" >&2; exit 1; }
}
node_packages() {
  local folder=$third/$1 holds=$2
  shift 2
  [ -d "$folder/node_modules/$holds" ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" "$@" ||
    { rm -rf "${folder:?}/node_modules"; echo "error: npm cannot install $*: is npm's registry reachable?" >&2; exit 1; }
}
mkdir -p "$third/python" "$third/node"
python python websockets --no-deps websockets==17.4
python python prometheus_client --no-deps prometheus_client==0.26.0
python schemathesis schemathesis -r tests/see/requirements.txt
node_packages node ws ws@8.23.0
node_packages see axe-core playwright-core@1.55.0 axe-core@4.14.1

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

say "what people see: an incident in a real browser, the expositions, every query of the dashboards, hostile targets and callers"
python3 tests/see/see.py
