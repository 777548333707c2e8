#!/bin/sh
# The daemon under what the unit declares, as far as a system without systemd running can do it: every file system read-only but the data
# directory, a user without rights, no capability, no new privileges, namespaces and limits of its own, and the unit's own seccomp filters. Needs root.
#   confined.sh STAGEWATCH
set -eu
binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
[ "$(id -u)" = 0 ] || { echo "NOT CHECKED: the unit's restrictions need root" >&2; exit 0; }
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
cp "$binary" "$data/stagewatch"
cp "$here/seccomp.py" "$here/../systemd/stagewatch.service" "$data"
mkdir "$data/state"
chmod 755 "$data"
chown 65534:65534 "$data/state"
export binary="$data/stagewatch" state="$data/state" filtered=
# Another Python than the system's may lie where a user without rights cannot reach it.
if [ "$(uname -m)" = x86_64 ] && [ -x /usr/bin/python3 ] && command -v systemd-analyze >/dev/null; then
    filtered="/usr/bin/python3 $data/seccomp.py $data/stagewatch.service"
else
    echo "NOT CHECKED: the seccomp filters need x86-64, systemd-analyze and /usr/bin/python3" >&2
fi

# shellcheck disable=SC2016 # the inner shell expands
unshare --mount --pid --fork --ipc --uts --mount-proc sh -eu -c '
    mount --bind "$state" "$state"
    findmnt -rno TARGET -t ext2,ext3,ext4,xfs,btrfs,overlay,tmpfs | while IFS= read -r target; do
        [ "$target" = "$state" ] || mount -o remount,bind,ro "$target"
    done
    inside="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
    ! $inside sh -c "echo x > /var/tmp/x" 2>/dev/null || { echo "error: something else can be written" >&2; exit 1; }
    ! $inside sh -c "echo x > /tmp/x" 2>/dev/null || { echo "error: /tmp can be written" >&2; exit 1; }
    cd "$state"
    ulimit -c 0
    ulimit -n 4096
    umask 0077
    env -i PATH="$PATH" TMPDIR="$state" $inside $filtered "$binary" demo --for 15s --fault ws-upgrade-500 >"$state/out" 2>"$state/err" ||
        { echo "error: it does not run confined" >&2; cat "$state/err" >&2; exit 1; }
    tail -1 "$state/out"
'
grep -Eq '^stopped: [1-9][0-9]* pass, [1-9][0-9]* fail' "$state/out" || { echo "error: it judged nothing, or did not see the fault" >&2; exit 1; }
[ -z "$filtered" ] || grep '^seccomp: ' "$state/err" || { echo "error: there was no filter" >&2; exit 1; }
echo "ok    confined: read-only but for its data, no rights, no capabilities"
