"""The processes that are looked at: the demonstration, a daemon of one's own, Prometheus and its like. Loopback and free ports only."""

import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = ROOT / "target/debug/stagewatch"
TOKEN = "token-of-the-look-from-outside"
STARTED_WITHIN = 30.0
ENDED_WITHIN = 15.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(within: float, what: str, done):
    """Waits until `done` gives something true."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            found = done()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.2)
    raise TimeoutError(f"{what} did not come within {within:.0f} s")


def get(url: str, headers: dict[str, str] | None = None) -> bytes:
    """The body of a GET that must succeed."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=20) as answer:
        return answer.read()


class Process:
    """A child that ends with its block."""

    def __init__(self, command: list[str], log: pathlib.Path, **more):
        self.log = log
        self.output = log.open("wb")
        self.child = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self) -> None:
        """Asks it to end, and ends it when it does not; a second time does nothing."""
        self.child.terminate()
        try:
            self.child.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.output.close()

    def said(self, pattern: str) -> str:
        """What the log holds at the group of a pattern, once it does."""
        def look():
            if self.child.poll() is not None:
                raise RuntimeError(f"it ended: {self.log.read_text()[-2000:]}")
            return re.search(pattern, self.log.read_text(errors="replace"))
        return eventually(STARTED_WITHIN, pattern, look).group(1)


class Daemon(Process):
    """A daemon with its API."""

    def __init__(self, command: list[str], log: pathlib.Path, address: str, **more):
        super().__init__(command, log, **more)
        try:
            self.url = f"http://{self.said(address)}"
            eventually(STARTED_WITHIN, "readiness", lambda: get(f"{self.url}/-/ready"))
        except BaseException:
            # Nobody would end it: its block was not entered.
            self.end()
            raise

    def status(self) -> dict:
        return json.loads(get(f"{self.url}/api/v1/status"))

    def counts(self) -> dict:
        return self.status()["summary"]["checks"]

    def pending(self) -> int:
        return self.status()["summary"]["pending"]


class Demo(Daemon):
    """Rehearsal and daemon in one process."""

    def __init__(self, folder: pathlib.Path, alertmanager: "Alertmanager"):
        command = [str(BINARY), "demo", "--listen", "127.0.0.1:0", "--api-token", TOKEN, "--alertmanager", alertmanager.url]
        super().__init__(command, folder / "demo.log", r"live view  http://([0-9.:]+)/")
        self.faults = self.said(r"faults     (http://\S+)")

    def fault(self, name: str, on: bool) -> None:
        switch(self.faults, [name] if on else [], [] if on else [name])


class Watching(Daemon):
    """A daemon with a configuration of one's own."""

    def __init__(self, config: pathlib.Path, folder: pathlib.Path):
        port = free_port()
        command = [str(BINARY), "run", "-c", str(config), "--listen", f"127.0.0.1:{port}"]
        super().__init__(command, folder / "watching.log", rf"(127\.0\.0\.1:{port})", env=os.environ | {"SEE_TOKEN": TOKEN})


def switch(faults: str, on: list[str], off: list[str]) -> None:
    """Turns faults of a rehearsal on and off."""
    urllib.request.urlopen(urllib.request.Request(faults, data=json.dumps({"on": on, "off": off}).encode()), timeout=10).read()


def shipped(source: str, folder: pathlib.Path, other: dict[str, str]) -> pathlib.Path:
    """A copy of a shipped file with other addresses in it, each of which has to stand there."""
    text = (ROOT / source).read_text()
    for old, new in other.items():
        if old not in text:
            raise ValueError(f"{source} does not hold {old}")
        text = text.replace(old, new)
    copy = folder / pathlib.Path(source).name
    copy.write_text(text)
    return copy


class Alertmanager(Process):
    """Debian's Alertmanager with the shipped configuration, whose receivers are on loopback."""

    def __init__(self, folder: pathlib.Path, other: dict[str, str] | None = None):
        port = free_port()
        config = shipped("deploy/alertmanager/alertmanager.yml", folder, other or {})
        super().__init__(
            ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alertmanager",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn"], folder / "alertmanager.log")
        self.url = f"http://127.0.0.1:{port}"
        eventually(STARTED_WITHIN, "Alertmanager", lambda: get(f"{self.url}/-/ready"))


class Blackbox(Process):
    """Debian's blackbox_exporter with the shipped modules."""

    def __init__(self, folder: pathlib.Path):
        self.address = f"127.0.0.1:{free_port()}"
        config = ROOT / "deploy/blackbox/blackbox.yml"
        super().__init__(["prometheus-blackbox-exporter", f"--config.file={config}", f"--web.listen-address={self.address}"], folder / "blackbox.log")
        eventually(STARTED_WITHIN, "blackbox_exporter", lambda: get(f"http://{self.address}/-/healthy"))


class Prometheus(Process):
    """Debian's Prometheus with the shipped rules and scrape configuration, but for addresses, and a faster clock if one is wanted."""

    def __init__(self, folder: pathlib.Path, other: dict[str, str], every: str | None = None):
        shipped("deploy/prometheus/stagewatch.rules.yml", folder, {})
        config = shipped("deploy/prometheus/prometheus.yml", folder, other)
        if every:
            text = re.sub(r"(scrape|evaluation)_interval: \w+", rf"\1_interval: {every}", config.read_text())
            config.write_text(text.replace("scrape_timeout: 10s", f"scrape_timeout: {every}"))
        port = free_port()
        super().__init__(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
             "--enable-feature=exemplar-storage", "--log.level=warn"], folder / "prometheus.log")
        self.url = f"http://127.0.0.1:{port}"
        eventually(STARTED_WITHIN, "Prometheus", lambda: get(f"{self.url}/-/ready"))

    def ask(self, path: str, **query) -> list | dict:
        """The data of an answer; an error of Prometheus is one of ours."""
        answer = json.loads(get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
        if answer["status"] != "success":
            raise RuntimeError(answer)
        return answer["data"]
