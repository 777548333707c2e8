#!/usr/bin/env python3
"""What people see, looked at from outside: `python3 tests/see/see.py [--shots FOLDER]`.

Starts the demonstration and a real Prometheus with the shipped rules, plays one incident, and asks meanwhile:
the page in a real Chromium, the API with schemathesis, both expositions with the reference parser, every query of every
dashboard. Needs the debug binary, Debian's chromium, prometheus and node, and what `test.sh` puts below target/third-party.
"""

import argparse
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
HEADLINE = "#headline"


def calm(demo: daemons.Demo, within: float = 150.0) -> None:
    """Waits until every check is judged and none fails."""
    daemons.eventually(within, "calm", lambda: demo.counts()["fail"] == 0 and demo.pending() == 0)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shots", type=pathlib.Path, help="keep screenshots in this folder")
    arguments.add_argument("--only", help="one of: pages, fuzz, exposition, queries, hostile")
    given = arguments.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stagewatch-see-"))
    problems: list[str] = []
    begun = time.monotonic()

    def part(name: str, look) -> None:
        if given.only and given.only != name:
            return
        started = time.monotonic()
        found = look()
        problems.extend(f"{name}: {problem}" for problem in found)
        print(f"{'ok   ' if not found else 'WRONG'} {name} ({time.monotonic() - started:.0f} s)", flush=True)
        for problem in found:
            print(f"  {problem}", flush=True)

    try:
        with daemons.Demo(folder) as demo, daemons.Prometheus(folder, demo) as prometheus, pages.Browser() as browser:
            if given.only != "hostile":
                if given.only != "fuzz":
                    calm(demo)
                part("pages", lambda: pages.calm(browser, demo, given.shots))
                demo.fault(FAULT, given.only != "fuzz")
                part("pages", lambda: pages.incident(browser, demo, given.shots))
                part("queries", lambda: queries.during(prometheus, demo))
                part("exposition", lambda: exposition.looked_at(demo, prometheus))
                demo.fault(FAULT, False)
                part("pages", lambda: pages.calm_again(browser, demo))
                part("fuzz", lambda: fuzz.api(demo, folder))
            part("hostile", lambda: pages.hostile(browser, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{'all good' if not problems else f'{len(problems)} problems'} after {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
