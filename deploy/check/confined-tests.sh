#!/bin/sh
# The daemon's test suite under what its unit declares, as far as a system without systemd running can do it: every file system read-only but one
# directory for what tests write, a user without rights, no capability, no new privileges, no device but the usual ones. Needs root.
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
export binaries writable="$scratch/writable"

# shellcheck disable=SC2016 # the inner shell expands
unshare --mount --pid --fork --ipc --uts --mount-proc sh -eu -c '
    mount --bind "$writable" "$writable"
    findmnt -rno TARGET -t ext2,ext3,ext4,xfs,btrfs,overlay,tmpfs | while IFS= read -r target; do
        [ "$target" = "$writable" ] || mount -o remount,bind,ro "$target"
    done
    inside="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
    for place in /tmp /var/tmp /dev/shm "$PWD" "$PWD/target"; do
        ! $inside sh -c "echo x > $place/x" 2>/dev/null || { echo "error: $place can be written" >&2; exit 1; }
    done
    ulimit -c 0
    umask 0077
    for binary in $binaries; do
        echo "== $(basename "$binary")"
        env -i PATH="$PATH" HOME="$writable" TMPDIR="$writable" CARGO_MANIFEST_DIR="$PWD" RUST_BACKTRACE=0 $inside "$binary" >"$writable/out" 2>&1 ||
            { cat "$writable/out"; echo "error: $(basename "$binary") fails confined" >&2; exit 1; }
        grep -E "^test result|^not checked" "$writable/out"
    done
'
echo "ok    the tests pass with nothing but one directory to write to, no rights, no capabilities"
