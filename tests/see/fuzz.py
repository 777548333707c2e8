"""The API against its description: schemathesis for a bounded time."""

import os
import pathlib
import subprocess
import sys

import daemons

PACKAGES = daemons.ROOT / "target/third-party/schemathesis"
HERE = pathlib.Path(__file__).parent
WITHIN = 240


def api(watching: daemons.Daemon, folder: pathlib.Path) -> list[str]:
    before = watching.status()["started_at"]
    # The description is drawn once; a busy machine takes longer for that than the client waits.
    daemons.get(f"{watching.url}/api/v1/openapi.json")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run", f"{watching.url}/api/v1/openapi.json"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGES), "SEE_TOKEN": daemons.TOKEN, "NO_COLOR": "1"}
    ran = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=WITHIN)
    lines = ran.stdout.splitlines()
    for line in lines[-12:]:
        print(f"      {line}", flush=True)
    problems = [] if ran.returncode == 0 else ["schemathesis: " + "\n".join(lines[-200:]) + ran.stderr[-2000:]]
    if watching.status()["started_at"] != before:
        problems.append("the daemon is another one")
    return problems
