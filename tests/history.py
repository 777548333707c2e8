#!/usr/bin/env python3
"""All 58 checks on a history that nobody seeded: `run` against the rehearsal, one restart of it in between, then `once` on
what `run` has stored.

    cargo build --release --locked
    python3 tests/history.py --binary target/release/stagewatch

Takes half an hour: a day and more at the rehearsal's time scale of a fiftieth, which is what the checks over a day need.
Exit: 0 when 58 checks and 10 modules pass, 1 when not. Standard library only.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

from see.daemons import ROOT
from soak import Soak

SECONDS = 30 * 60
RESTART_AFTER_S = 120


def restart(soak):
    request = urllib.request.Request(f"{soak.control_url}/restart", method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        print(f"restarted: {answer.read().decode()}", flush=True)


def once(soak, folder):
    """Ends the daemon, and runs one iteration on its history."""
    soak.daemon.end()
    command = [soak.binary, "once", "--config", str(soak.config), "--data-dir", str(folder / "data"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    (folder / "once.json").write_text(done.stdout)
    if done.returncode not in (0, 1, 3):
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--binary", default=str(ROOT / "target/release/stagewatch"))
    parse.add_argument("--for", dest="seconds", type=int, default=SECONDS)
    parse.add_argument("--folder", type=pathlib.Path, help="where logs and history go; a temporary one by default")
    asked = parse.parse_args()
    folder = asked.folder or pathlib.Path(tempfile.mkdtemp(prefix="history-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"history in {folder}", flush=True)
    soak = Soak(asked.binary, folder, asked.seconds)
    try:
        time.sleep(RESTART_AFTER_S)
        restart(soak)
        time.sleep(max(0, asked.seconds - RESTART_AFTER_S))
        iteration = once(soak, folder)
    finally:
        soak.end()
    for module in iteration["modules"]:
        for check in module["checks"]:
            if check["verdict"] != "pass":
                told = [judged["message"] for judged in check["expectations"] if judged["held"] is not True]
                print(f"{check['verdict']} {module['id']}/{check['id']}: {check['reason'] or ''} {told[:1]}")
    summary = iteration["summary"]
    print(json.dumps(summary))
    sys.exit(0 if summary["checks"]["pass"] == 58 and summary["modules"]["pass"] == 10 else 1)


if __name__ == "__main__":
    main()
