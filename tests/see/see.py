#!/usr/bin/env python3
"""What people see, looked at from outside: `python3 tests/see/see.py [--shots FOLDER]`.

Starts the demonstration, a real Prometheus and a real Alertmanager as they are shipped, plays one incident, and asks meanwhile: the page in
a real Chromium, both expositions with the reference parser, every query of every dashboard. Beside it a daemon watches a
hostile target: its pages in Chromium, its API with schemathesis. Needs the debug binary, Debian's chromium, prometheus and node, and what `test.sh` puts below target/third-party.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import shutil
import sys
import tempfile
import time

import daemons
import exposition
import fuzz
import pages
import queries

FAULT = "ws-upgrade-500-after-auth"
# What may be empty in a minute of the demonstration, and why. `stack.py` has no such list.
EXCUSED = {"Controls reachable": "the rehearsal configures no control addresses", "annotation Restarts": "the daemon does not restart"}


def calm(demo: daemons.Demo, within: float = 300.0) -> None:
    """Waits until every check is judged and none fails, but for promises about latency that a busy machine does not keep."""
    def is_calm() -> bool:
        status = demo.status()
        failing = [check for module in status["modules"] for check in module["checks"] if check["verdict"] == "fail"]
        judged = [check["judgement"] or {} for check in failing]
        # What has no transcripts reads other verdicts only: it fails with those.
        slow = [one for one in judged if (one.get("failure") or {}).get("class") == "latency" or not one.get("transcripts")]
        return status["summary"]["pending"] == 0 and len(failing) == len(slow)
    daemons.eventually(within, "calm", is_calm)


class Parts:
    """What is looked at, each part said as soon as it ends."""

    def __init__(self, only: str | None):
        self.only = only
        self.problems: list[str] = []

    def wanted(self, *names: str) -> bool:
        return self.only is None or self.only in names

    def __call__(self, name: str, look) -> None:
        if not self.wanted(name):
            return
        started = time.monotonic()
        try:
            found = look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this part's
            found = [f"{type(error).__name__}: {error}"]
        self.problems.extend(f"{name}: {problem}" for problem in found)
        lines = [f"{'ok   ' if not found else 'WRONG'} {name} ({time.monotonic() - started:.0f} s)", *(f"  {problem}" for problem in found)]
        print("\n".join(lines), flush=True)


def lived(part: Parts, folder: pathlib.Path, shots: pathlib.Path | None) -> None:
    """One incident of the demonstration, from calm to calm."""
    with contextlib.ExitStack() as running:
        alertmanager = running.enter_context(daemons.Alertmanager(folder))
        demo = running.enter_context(daemons.Demo(folder, alertmanager))
        # Of the prober there is none: its address is one that nobody listens at.
        other = {"127.0.0.1:9464": demo.url, "127.0.0.1:9093": alertmanager.url, "127.0.0.1:9115": f"127.0.0.1:{daemons.free_port()}"}
        prometheus = running.enter_context(daemons.Prometheus(folder, {old: new.removeprefix("http://") for old, new in other.items()}, every="2s"))
        browser = running.enter_context(pages.Browser())
        calm(demo)
        part("pages", lambda: pages.calm(browser, demo, shots))
        demo.fault(FAULT, True)
        part("pages", lambda: pages.incident(browser, demo, shots))
        part("queries", lambda: queries.during(prometheus, time.time() - 240, EXCUSED))
        part("exposition", lambda: exposition.looked_at(demo, prometheus))
        demo.fault(FAULT, False)
        part("pages", lambda: pages.calm_again(browser, demo))


def attacked(part: Parts, folder: pathlib.Path) -> None:
    """A daemon of its own, beside the other: its target is hostile, and so are its callers."""
    with pages.hostile_target(folder) as watching, pages.Browser() as browser:
        part("hostile", lambda: pages.hostile(browser, watching))
        part("fuzz", lambda: fuzz.api(watching, folder))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shots", type=pathlib.Path, help="keep screenshots in this folder")
    arguments.add_argument("--only", help="one of: pages, queries, exposition, hostile, fuzz")
    given = arguments.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stagewatch-see-"))
    part = Parts(given.only)
    begun = time.monotonic()
    looks = []
    if part.wanted("hostile", "fuzz"):
        looks.append(lambda: attacked(part, folder))
    if part.wanted("pages", "queries", "exposition"):
        looks.append(lambda: lived(part, folder, given.shots))
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for look in [pool.submit(look) for look in looks]:
                look.result()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    problems = part.problems
    print(f"{'all good' if not problems else f'{len(problems)} problems'} after {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if problems or not looks else 0


if __name__ == "__main__":
    sys.exit(main())
