#!/bin/sh
# The daemon under what the unit declares (confine.sh), and under the unit's own seccomp filters. Needs root.
#   confined.sh STAGEWATCH
set -eu
binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
[ "$(id -u)" = 0 ] || { echo "NOT CHECKED: the unit's restrictions need root" >&2; exit 0; }
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
cp "$binary" "$data/stagewatch"
cp "$here/seccomp.py" "$here/../systemd/stagewatch.service" "$data"
state=$data/state
mkdir "$state"
chmod 755 "$data"
chown 65534:65534 "$state"
filtered=
# Another Python than the system's may lie where a user without rights cannot reach it.
if [ "$(uname -m)" = x86_64 ] && [ -x /usr/bin/python3 ] && command -v systemd-analyze >/dev/null; then
    filtered="/usr/bin/python3 $data/seccomp.py $data/stagewatch.service"
else
    echo "NOT CHECKED: the seccomp filters need x86-64, systemd-analyze and /usr/bin/python3" >&2
fi

cd "$state"
# shellcheck disable=SC2086 # words
"$here/confine.sh" "$state" $filtered "$data/stagewatch" demo --for 15s --fault ws-upgrade-500 >"$data/out" 2>"$data/err" ||
    { echo "error: it does not run confined" >&2; cat "$data/err" >&2; exit 1; }
tail -1 "$data/out"
grep -Eq '^stopped: [1-9][0-9]* pass, [1-9][0-9]* fail' "$data/out" || { echo "error: it judged nothing, or did not see the fault" >&2; exit 1; }
[ -z "$filtered" ] || grep '^seccomp: ' "$data/err" || { echo "error: there was no filter" >&2; exit 1; }
echo "ok    confined: read-only but for its data, no rights, no capabilities"
