#!/bin/sh
# Both units: nothing that systemd does not understand, and an exposure of 1.5 at most.
set -eu
for unit in systemd/*.service; do
    score=$(systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
    [ -n "$score" ] || { echo "error: $unit was not rated" >&2; exit 1; }
    awk -v score="$score" 'BEGIN { exit !(score <= 1.5) }' || { echo "error: $unit has exposure $score, more than 1.5" >&2; exit 1; }
    # Programs that are not installed here are no fault of the unit.
    said=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -v 'is not executable: No such file or directory' | grep -F "$(basename "$unit" .service)" || true)
    [ -z "$said" ] || { echo "error: $said" >&2; exit 1; }
    echo "ok    $unit: exposure $score"
done
