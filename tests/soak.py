#!/usr/bin/env python3
"""An hour of `run` against the rehearsal with everything on, measured from outside and judged honestly.

    cargo build --release --locked
    python3 tests/soak.py --binary target/release/stagewatch --for 3600

Starts `rehearse` and `run` (on free ports, in a folder of its own), reads /metrics and the rehearsal's own counts every 30 s
into FOLDER/samples.jsonl, and then says what it saw. `--evaluate FOLDER` judges the samples of an earlier soak again.
Exit: 0 all as it should be, 1 not. A metric that does not exist is an error, never a zero. Standard library only.
"""

import argparse
import json
import pathlib
import re
import shutil
import sys
import tempfile
import time

from see import daemons

TIME_SCALE = 0.02
EVERY_S = 30
SETTLED_S = 600  # memory is compared with what it is ten minutes after the start
GROWTH_MAX = 0.05  # share by which memory may differ between the settled part and the end
HANDSHAKES_MAX = 4  # of one user in a (scaled) half hour
OTHER_PER_MINUTE_MAX = 40  # requests outside /api in a (scaled) minute
API_PER_MINUTE_MAX = 600

LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def metrics(text):
    """Name -> list of (labels, value)."""
    found = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match and not line.startswith("#"):
            found.setdefault(match[1], []).append((dict(LABEL.findall(match[2] or "")), float(match[3])))
    return found


class Soak:
    """The two processes and their samples."""

    def __init__(self, binary, folder, seconds):
        self.folder = folder
        backend, auth, control, listen = (daemons.free_port() for _ in range(4))
        shutil.copytree(daemons.ROOT / "config", folder / "config", dirs_exist_ok=True)
        other = {"127.0.0.1:18080": f"127.0.0.1:{backend}", "127.0.0.1:18081": f"127.0.0.1:{auth}"}
        config = daemons.shipped("config/rehearsal.yaml", folder / "config", other)
        self.binary, self.config = binary, config
        self.metrics_url = f"http://127.0.0.1:{listen}/metrics"
        self.control_url = f"http://127.0.0.1:{control}/rehearsal"
        self.stats_url = f"{self.control_url}/stats"
        rehearse = [binary, "rehearse", "--listen", f"127.0.0.1:{backend}", "--auth", f"127.0.0.1:{auth}"]
        rehearse += ["--control", f"127.0.0.1:{control}", "--time-scale", str(TIME_SCALE)]
        run = [binary, "run", "--config", str(config), "--listen", f"127.0.0.1:{listen}", "--data-dir", str(folder / "data")]
        self.started = time.time()
        self.rehearsal = self.spawn(rehearse + ["--for", f"{seconds + 600}s"], "rehearse.log", self.stats_url)
        self.daemon = self.spawn(run + ["--for", f"{seconds + 60}s"], "run.log", self.metrics_url)

    def spawn(self, command, log, url):
        process = daemons.Process(command, self.folder / log)
        daemons.eventually(daemons.STARTED_WITHIN, url, lambda: daemons.get(url))
        return process

    def sample(self):
        data = self.folder / "data"
        return {
            "at": time.time() - self.started,
            "metrics": metrics(daemons.get(self.metrics_url).decode()),
            "stats": json.loads(daemons.get(self.stats_url)),
            "bytes": sum(file.stat().st_size for file in data.rglob("*") if file.is_file()),
        }

    def run(self, seconds):
        try:
            with (self.folder / "samples.jsonl").open("w") as out:
                while time.time() - self.started < seconds:
                    time.sleep(EVERY_S)
                    out.write(json.dumps(self.sample()) + "\n")
                    out.flush()
        finally:
            self.end()

    def end(self):
        for process in (self.daemon, self.rehearsal):
            process.end()


class Samples:
    """What was seen, by metric; a metric that is missing from any sample is an error."""

    def __init__(self, folder):
        self.all = [json.loads(line) for line in (folder / "samples.jsonl").open()]
        if len(self.all) < 4:
            sys.exit("fewer than four samples: nothing can be said")

    def of(self, name, **labels):
        """For each sample the values of the series with these labels."""
        found = []
        for sample in self.all:
            if name not in sample["metrics"]:
                sys.exit(f"there is no metric {name}")
            series = sample["metrics"][name]
            values = [value for own, value in series if labels.items() <= own.items()]
            if not values:
                sys.exit(f"there is no series {name}{labels}")
            found.append(values)
        return found

    def total(self, name, **labels):
        return sum(self.of(name, **labels)[-1])

    def by(self, name, label):
        """The last value by one label, zeros left out."""
        sums = {}
        self.of(name)
        for labels, value in self.all[-1]["metrics"][name]:
            sums[labels[label]] = sums.get(labels[label], 0) + value
        return {key: value for key, value in sums.items() if value}


def median(values):
    return sorted(values)[len(values) // 2]


def rates(samples):
    """Requests in a scaled minute, averaged over the whole soak, by the rehearsal's own count."""
    last, first = samples.all[-1], samples.all[0]
    minutes = (last["at"] - first["at"]) / 60 / TIME_SCALE

    def count(sample, api):
        paths = {**sample["stats"]["requests"]["backend"]}
        auth = sum(sample["stats"]["requests"]["auth"].values())
        own = sum(number for path, number in paths.items() if path.startswith("/api") == api)
        return own if api else own + auth

    return tuple((count(last, api) - count(first, api)) / minutes for api in (False, True))


def handshakes(samples):
    """The most upgrades that one user was granted between two samples, and the longest time between two samples."""
    most = span = 0
    for before, after in zip(samples.all, samples.all[1:]):
        span = max(span, after["at"] - before["at"])
        earlier = before["stats"]["upgrades_by_user"]
        for user, counts in after["stats"]["upgrades_by_user"].items():
            if user != "anonymous":
                most = max(most, counts["accepted"] - earlier.get(user, {}).get("accepted", 0))
    return most, span


def evaluate(folder):
    samples = Samples(folder)
    problems = []

    def say(what, shown, right):
        print(f"{'ok ' if right else 'BAD'} {what}: {shown}")
        if not right:
            problems.append(what)

    minutes = samples.all[-1]["at"] / 60
    print(f"{minutes:.0f} minutes, {len(samples.all)} samples, time scale {TIME_SCALE}")
    verdicts = samples.by("stagewatch_check_runs_total", "verdict")
    say("no false fail", verdicts, verdicts.get("fail", 0) == 0 and verdicts.get("pass", 0) > 0)
    print(f"    unknown by reason: {samples.by('stagewatch_check_unknowns_total', 'reason')}")
    skipped = samples.by("stagewatch_scheduler_skipped_runs_total", "cause")
    say("no run skipped for a budget", skipped, "budget" not in skipped)
    say("no lane replaced", samples.total("stagewatch_scheduler_rearmed_total"), samples.total("stagewatch_scheduler_rearmed_total") == 0)
    for name in ("write_errors", "dropped_rows", "corrupt_files"):
        lost = samples.total(f"stagewatch_history_{name}_total")
        say(f"history {name}", lost, lost == 0)
    memory = [values[0] / 2**20 for values in samples.of("process_resident_memory_bytes")]
    settled = [value for sample, value in zip(samples.all, memory) if sample["at"] >= SETTLED_S]
    if len(settled) >= 20:
        before, after = median(settled[:10]), median(settled[-10:])
        say("memory flat after ten minutes", f"{before:.1f} -> {after:.1f} MiB", after <= before * (1 + GROWTH_MAX))
    else:
        say("memory flat after ten minutes", "too short to say", False)
    print(f"    memory from {memory[0]:.1f} MiB, at most {max(memory):.1f}; open files {samples.of('process_open_fds')[-1][0]:.0f}")
    other, api = rates(samples)
    say("requests outside /api a scaled minute", f"{other:.1f} of {OTHER_PER_MINUTE_MAX}", other <= OTHER_PER_MINUTE_MAX)
    say("requests to /api a scaled minute", f"{api:.1f} of {API_PER_MINUTE_MAX}", api <= API_PER_MINUTE_MAX)
    most, span = handshakes(samples)
    say(f"handshakes of a user in {span:.0f} s, of a scaled half hour's 36", f"at most {most} of {HANDSHAKES_MAX}", most <= HANDSHAKES_MAX)
    print(f"    history {samples.all[-1]['bytes'] / 2**20:.0f} MiB")
    cpu = samples.of("process_cpu_seconds_total")[-1][0]
    print(f"    processor {cpu:.0f} s, {100 * cpu / samples.all[-1]['at']:.1f} % of one core")
    return problems


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--binary", default=str(daemons.ROOT / "target/release/stagewatch"))
    parse.add_argument("--for", dest="seconds", type=int, default=3600)
    parse.add_argument("--folder", type=pathlib.Path, help="where samples, logs and history go; a temporary one by default")
    parse.add_argument("--evaluate", type=pathlib.Path, metavar="FOLDER", help="judge earlier samples only")
    asked = parse.parse_args()
    folder = asked.evaluate or asked.folder or pathlib.Path(tempfile.mkdtemp(prefix="soak-"))
    if not asked.evaluate:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"samples in {folder}", flush=True)
        Soak(asked.binary, folder, asked.seconds).run(asked.seconds)
    sys.exit(1 if evaluate(folder) else 0)


if __name__ == "__main__":
    main()
