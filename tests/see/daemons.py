"""The processes that are looked at: the demonstration, a daemon of one's own, Prometheus. Loopback and free ports only."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).parent.parent.parent
BINARY = ROOT / "target/debug/stagewatch"
TOKEN = "token-of-the-look-from-outside"
STARTED_WITHIN = 30.0


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
        self.child.terminate()
        try:
            self.child.wait(15)
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
            self.__exit__()
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
        body = json.dumps({"on": [name] if on else [], "off": [] if on else [name]}).encode()
        urllib.request.urlopen(urllib.request.Request(self.faults, data=body), timeout=10).read()


class Watching(Daemon):
    """A daemon with a configuration of one's own."""

    def __init__(self, config: pathlib.Path, folder: pathlib.Path):
        port = free_port()
        command = [str(BINARY), "run", "-c", str(config), "--listen", f"127.0.0.1:{port}"]
        super().__init__(command, folder / "watching.log", rf"(127\.0\.0\.1:{port})", env=os.environ | {"SEE_TOKEN": TOKEN})


class Alertmanager(Process):
    """Debian's Alertmanager with the shipped configuration, whose receivers are on loopback."""

    def __init__(self, folder: pathlib.Path):
        port = free_port()
        super().__init__(
            ["prometheus-alertmanager", f"--config.file={ROOT}/deploy/alertmanager/alertmanager.yml", f"--storage.path={folder}/alertmanager",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn"], folder / "alertmanager.log")
        self.url = f"http://127.0.0.1:{port}"
        eventually(STARTED_WITHIN, "Alertmanager", lambda: get(f"{self.url}/-/ready"))


class Prometheus(Process):
    """Debian's Prometheus with the shipped rules and scrape configuration, but for addresses and a faster clock."""

    def __init__(self, folder: pathlib.Path, demo: Demo, alertmanager: Alertmanager):
        data = folder / "prometheus"
        data.mkdir()
        shipped = ROOT / "deploy/prometheus"
        for rules in shipped.glob("*.rules.yml"):
            shutil.copy(rules, data)
        text = (shipped / "prometheus.yml").read_text()
        text = text.replace("127.0.0.1:9464", demo.url.removeprefix("http://")).replace("127.0.0.1:9115", f"127.0.0.1:{free_port()}")
        text = text.replace("127.0.0.1:9093", alertmanager.url.removeprefix("http://"))
        text = re.sub(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 2s", text).replace("scrape_timeout: 10s", "scrape_timeout: 2s")
        (data / "prometheus.yml").write_text(text)
        port = free_port()
        super().__init__(
            ["prometheus", f"--config.file={data}/prometheus.yml", f"--storage.tsdb.path={data}/tsdb", f"--web.listen-address=127.0.0.1:{port}",
             "--enable-feature=exemplar-storage", "--log.level=warn"], folder / "prometheus.log")
        self.url = f"http://127.0.0.1:{port}"
        eventually(STARTED_WITHIN, "Prometheus", lambda: get(f"{self.url}/-/ready"))

    def ask(self, path: str, **query) -> list | dict:
        """The data of an answer; an error of Prometheus is one of ours."""
        answer = json.loads(get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
        if answer["status"] != "success":
            raise RuntimeError(answer)
        return answer["data"]
