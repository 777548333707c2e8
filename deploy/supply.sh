#!/bin/sh
# The supply chain, whole: deploy/supply/check.py and, where they are installed, cargo-deny and cargo-audit; the bill of materials.
# The advisory database is taken from ../shared/advisories/advisory-db.tgz beside the checkout, or from ADVISORIES=FILE; without it that part is NOT CHECKED.
#   cargo install --locked cargo-deny@0.20.2 cargo-audit@0.22.2     (minutes of work, which is why CI runs only check.py)
#   deploy/supply.sh --cheap                                        (what CI runs)
set -eu
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
mirror=${ADVISORIES:-../shared/advisories/advisory-db.tgz}
database=target/advisories/advisory-db-3157b0e258782691

if [ -f "$mirror" ]; then
    # Where cargo-deny looks for the database of that address, as a repository of one commit.
    rm -rf "$database" && mkdir -p "$database" && tar -xzf "$mirror" -C "$database"
    newest=$(find "$database/crates" -name '*.md' -exec grep -h '^date = ' {} + | sort | tail -1 | cut -d'"' -f2)
    age=$((($(date +%s) - $(date -d "$newest" +%s)) / 86400))
    echo "advisories: the newest is of $newest, $age days ago"
    [ "$age" -le 90 ] || echo "WARNING: the mirror is older than 90 days" >&2
    [ "$age" -le 180 ] || { echo "error: the mirror is older than 180 days: renew it" >&2; exit 1; }
    python3 deploy/supply/check.py --advisories "$database"
else
    python3 deploy/supply/check.py
fi
python3 deploy/supply/sbom.py >target/stagewatch.cdx.json
echo "ok    target/stagewatch.cdx.json"
[ "${1:-}" != --cheap ] || exit 0

if command -v cargo-deny >/dev/null; then
    if [ -d "$database" ]; then
        (cd "$database" && git init -q && git add -A && git -c user.name=mirror -c user.email=mirror@localhost commit -q -m mirror && touch .git/FETCH_HEAD)
        cargo fetch --locked --quiet
        cargo deny --offline --locked check
        # A policy that our own tree breaks must be told: else the above would prove nothing.
        sed 's/crate = "ring"/crate = "serde"/' deny.toml >target/planted.toml
        ! cargo deny --offline --locked check --config target/planted.toml bans >/dev/null 2>&1 || { echo "error: a planted ban was not found" >&2; exit 1; }
        echo "ok    cargo-deny: advisories, bans, licences, sources; a planted ban found"
    else
        echo "NOT CHECKED by cargo-deny: advisories" >&2
        cargo deny --locked check bans licenses sources
    fi
else
    echo "NOT RUN: cargo-deny is not installed" >&2
fi
if command -v cargo-audit >/dev/null && [ -d "$database" ]; then
    cargo audit --no-fetch --stale --db "$database"
else
    echo "NOT RUN: cargo-audit, or there is no mirror" >&2
fi
