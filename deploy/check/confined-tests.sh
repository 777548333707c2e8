#!/bin/sh
# The daemon's test suite under what its unit declares (confine.sh): one directory to write to, a user without rights, no capability. Needs root.
#   confined-tests.sh [TEST …]        all test binaries, or those named: engine, paging, …
# Not part of test.sh: it runs the same tests a second time. What needs rights of its own (another resolver) says that it was not checked.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "NOT CHECKED: the unit's restrictions need root" >&2; exit 0; }
only=
for name in "$@"; do only="$only --test $name"; done
# shellcheck disable=SC2086 # options
binaries=$(${CARGO:-cargo} test --locked --no-run ${only:---tests} --message-format json-render-diagnostics 2>/dev/null |
    sed -n 's/.*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*/\1/p')
[ -n "$binaries" ] || { echo "error: no test binary was built" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/writable"
chmod 755 "$scratch"
chown 65534:65534 "$scratch/writable"

failed=
for binary in $binaries; do
    echo "== $(basename "$binary")"
    if deploy/check/confine.sh "$scratch/writable" env CARGO_MANIFEST_DIR="$PWD" RUST_BACKTRACE=0 "$binary" >"$scratch/out" 2>&1; then
        grep -E "^test result|^not checked" "$scratch/out"
    else
        cat "$scratch/out"
        failed="$failed $(basename "$binary")"
    fi
done
[ -z "$failed" ] || { echo "error: these fail confined:$failed" >&2; exit 1; }
echo "ok    the tests pass with nothing but one directory to write to, no rights, no capabilities"
