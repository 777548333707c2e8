#!/bin/sh
# Runs a command under what the unit declares, as far as a system without systemd running can do it: every file system read-only but one folder, a
# user without rights, no capability, no new privileges, namespaces and limits of its own. Needs root.
#   confine.sh WRITABLE COMMAND [ARGUMENT …]        WRITABLE belongs to user 65534; the command's environment holds PATH, HOME and TMPDIR
set -eu
WRITABLE=$(realpath "$1")
export WRITABLE
shift
# shellcheck disable=SC2016 # the inner shell expands
exec unshare --mount --pid --fork --ipc --uts --mount-proc sh -eu -c '
    mount --bind "$WRITABLE" "$WRITABLE"
    findmnt -rno TARGET -t ext2,ext3,ext4,xfs,btrfs,overlay,tmpfs | while IFS= read -r target; do
        [ "$target" = "$WRITABLE" ] || mount -o remount,bind,ro "$target"
    done
    inside="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs"
    $inside sh -c "echo x > $WRITABLE/x && rm $WRITABLE/x" || { echo "error: $WRITABLE cannot be written" >&2; exit 1; }
    for place in /tmp /var/tmp /dev/shm "$PWD"; do
        [ "$place" = "$WRITABLE" ] || ! $inside sh -c "echo x > $place/x" 2>/dev/null || { echo "error: $place can be written" >&2; exit 1; }
    done
    ulimit -c 0
    ulimit -n 4096
    umask 0077
    exec env -i PATH="$PATH" HOME="$WRITABLE" TMPDIR="$WRITABLE" $inside "$@"
' confined "$@"
