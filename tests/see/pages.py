"""The page in a real Chromium: healthy, during an incident, against a hostile target; desktop and phone, light and dark."""

import contextlib
import html
import json
import os
import pathlib
import subprocess
import threading
import time

import daemons
import hostile as stage

HERE = pathlib.Path(__file__).parent
MODULES = 10
CHECKS = 58
CHECK = "/checks/websocket_events/websocket_connection"
SEEN_WITHIN_MS = 120_000
# Headline of the overview.
FAILING = r"\d+ checks? fails? in \d+"
# Title of the incident that the fault makes.
TITLE = "WebSocket upgrade answered with HTTP 500"
# It is over when the slowest of its checks has passed again: a minute on a quiet machine, several on one that is busy.
CLOSED_WITHIN_MS = 400_000
# What the incident's page has to hold.
PARTS = ("Why", "What to do", "What was seen", "What failed", "What changed", "Alerts meanwhile", TITLE, "main/valid", "101")


class Browser:
    """Chromium behind `browser.mjs`: a command is a line of JSON, and so is its answer."""

    def __enter__(self):
        environment = os.environ | {"SEE_MODULES": str(daemons.ROOT / "target/third-party/see")}
        self.child = subprocess.Popen(["node", str(HERE / "browser.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()

    def __call__(self, command: str, **given) -> dict:
        self.child.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline() or '{"failed": "the browser ended"}')


def complaints(what: str, seen: dict, own_style: bool = False) -> list[str]:
    """What is wrong with a page that was visited; a report brings one style of its own."""
    if "failed" in seen:
        return [f"{what}: {seen['failed']}"]
    found = [f"{what}: {complaint}" for complaint in seen["complaints"] + [f"refused {refused}" for refused in seen["refused"]]]
    if seen["status"] != 200 or seen["ran"] or seen["strange"] != own_style:
        found.append(f"{what}: status {seen['status']}, {seen['strange']} strange elements, foreign script ran: {seen['ran']}")
    return found


def axe(browser: Browser, name: str, url: str, **options) -> list[str]:
    """Serious and critical findings of axe-core."""
    seen = browser("axe", name=f"axe {name}", url=url, **options)
    if "failed" in seen:
        return [f"axe {name}: {seen['failed']}"]
    bad = [rule for rule in seen["rules"] if rule["impact"] in ("serious", "critical")]
    print(f"      axe {name}: {seen['passes']} rules pass, {len(seen['rules'])} findings, {len(bad)} of them serious", flush=True)
    return [f"axe {name}: {rule['id']} at {rule['where']}" for rule in bad]


def shots(browser: Browser, demo: daemons.Demo, folder: pathlib.Path | None, state: str, *more: tuple[str, str]) -> list[str]:
    """Every view of a state, with `more` pages as name and path; each is also checked while it is open."""
    problems = []
    for size in ("desktop", "phone"):
        for scheme in ("light", "dark"):
            for page, path in (("overview", "/"), ("check", CHECK), *more):
                name = f"{page}-{state}-{size}-{scheme}"
                problems += complaints(name, browser("visit", name=name, url=demo.url + path, size=size, scheme=scheme))
                width = browser("width", name=name)
                if width.get("page", 0) > width.get("screen", 0):
                    problems.append(f"{name}: wider than the screen: {width}")
                if folder:
                    browser("shot", name=name, path=str(folder / f"{name}.png"), full=page == "incident")
    return problems


def calm(browser: Browser, demo: daemons.Demo, folder: pathlib.Path | None) -> list[str]:
    page = daemons.get(demo.url).decode()
    problems = [f"{count} of {wanted} {what}" for what, count, wanted in (
        ("modules", page.count('<section class="module"'), MODULES), ("checks", page.partition('class="modules"')[2].count('href="/checks/'), CHECKS)) if count != wanted]
    problems += shots(browser, demo, folder, "healthy")
    # These stay open and are never touched again: they have to follow by themselves.
    problems += complaints("live", browser("visit", name="live", url=demo.url))
    problems += complaints("live check", browser("visit", name="live check", url=demo.url + CHECK))
    seen = browser("visit", name="without a script", url=demo.url, script=False)
    problems += complaints("without a script", seen)
    if "The monitor itself" not in seen.get("text", ""):
        problems.append("without a script the page is not whole")
    stops = browser("tabs", name="live", times=6)["stops"]
    if len(stops) < 6 or any(stop.endswith(" none") for stop in stops):
        problems.append(f"by keyboard: {stops}")
    problems += axe(browser, "overview", demo.url) + axe(browser, "overview, dark, phone", demo.url, size="phone", scheme="dark")
    problems += axe(browser, "check", demo.url + CHECK)
    browser("visit", name="check", url=demo.url + CHECK)
    for token, wanted in (("wrong", "the API token is wrong"), (daemons.TOKEN, "will run: websocket_events/")):
        said = browser("runNow", name="check", token=token, within=10_000)
        if wanted not in said.get("answer", ""):
            problems.append(f"run now: {said}")
    return problems


def incident(browser: Browser, demo: daemons.Demo, folder: pathlib.Path | None) -> list[str]:
    started = time.monotonic()
    seen = browser("shows", name="live check", selector=".now", pattern="^fail", within=SEEN_WITHIN_MS)
    if "failed" not in seen:
        seen = browser("shows", name="live", selector="#headline", pattern=FAILING, within=SEEN_WITHIN_MS)
    if "failed" in seen:
        return [f"the incident does not show: {seen['failed']}"]
    print(f"      the open page showed it after {time.monotonic() - started:.1f} s", flush=True)
    problems = [f"live: {complaint}" for complaint in seen["complaints"]]
    daemons.eventually(60, "the check to fail", lambda: "HTTP 500" in daemons.get(demo.url + CHECK).decode())
    # Everything that the fault breaks is judged once.
    time.sleep(10)
    seen = browser("shows", name="live", selector="#incidents", pattern=f"{TITLE}[^]*Why", within=SEEN_WITHIN_MS)
    if "failed" in seen:
        return problems + [f"the open page does not show the incident: {seen['failed']}"]
    path = f"/incidents/{of_the_fault(demo)['id']}"
    problems += shots(browser, demo, folder, "incident", ("incident", path), ("incidents", "/incidents"))
    problems += axe(browser, "overview, incident", demo.url) + axe(browser, "check, incident, dark", demo.url + CHECK, scheme="dark")
    problems += axe(browser, "incident", demo.url + path) + axe(browser, "incidents, phone, dark", f"{demo.url}/incidents", size="phone", scheme="dark")
    problems += complaints("report", browser("visit", name="report", url=f"{demo.url}/api/v1/reports/latest?format=html"), own_style=True)
    for what, where, words in (("check", CHECK, ("HTTP 500", "upgrade.status", "500")), ("incident", path, PARTS)):
        text = browser("visit", name="incident", url=demo.url + where).get("text", "")
        problems += [f"the {what}'s page does not say {word!r}" for word in words if word not in text]
    return problems


def of_the_fault(demo: daemons.Demo) -> dict:
    """The open incident of the fault that is played."""
    found = json.loads(daemons.get(f"{demo.url}/api/v1/incidents?open=true&member=main/valid"))["items"]
    return next(incident for incident in found if incident["title"] == TITLE)


def calm_again(browser: Browser, demo: daemons.Demo) -> list[str]:
    """Checks that judge the past stay red for a while, and rightly; what judges the present clears at once, and with the
    last of it the incident, on a page that nobody touches."""
    mended, card = time.monotonic(), f"#incident-{of_the_fault(demo)['id']}"
    seen = browser("shows", name="live check", selector=".now", pattern="^pass", within=2 * SEEN_WITHIN_MS)
    if "failed" in seen:
        return [f"the check does not clear: {seen}"]
    problems = [f"live check: {complaint}" for complaint in seen["complaints"]]
    seen = browser("gone", name="live", selector=card, within=CLOSED_WITHIN_MS)
    if "failed" in seen:
        fails = [member["name"] for member in of_the_fault(demo)["members"] if not member["until"]]
        return problems + [f"the incident does not clear: {seen}; these fail still: {fails}"]
    print(f"      the incident went from the open page {time.monotonic() - mended:.1f} s after the fault was mended", flush=True)
    return problems + [f"live: {complaint}" for complaint in seen["complaints"]]


@contextlib.contextmanager
def hostile_target(folder: pathlib.Path):
    """A daemon that watches a target of hostile answers, once all three of its checks fail."""
    with stage.Server(("127.0.0.1", 0), stage.Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = stage.write_config(folder, server.server_address[1])
        with daemons.Watching(config, folder) as watching:
            daemons.eventually(180, "every hostile answer", lambda: watching.counts()["fail"] == 3)
            yield watching
        server.shutdown()


def hostile(browser: Browser, watching: daemons.Watching) -> list[str]:
    """Every payload through every field, on every page that shows it."""
    def stored():
        found = json.loads(daemons.get(f"{watching.url}/api/v1/incidents"))["items"]
        return found if sum(len(incident["members"]) for incident in found) >= 3 else None
    incidents = daemons.eventually(60, "incidents of all three", stored)
    runs = json.loads(daemons.get(f"{watching.url}/api/v1/runs?limit=6"))["items"]
    paths = ["/", "/incidents"] + [f"/checks/hostile/{check}" for check in ("body", "refused", "closed")]
    paths += [f"/runs/{run['id']}" for run in runs] + [f"/incidents/{incident['id']}" for incident in incidents]
    problems, texts = [], ""
    for path in paths:
        problems += complaints(f"hostile {path}", browser("visit", name="hostile", url=watching.url + path))
        texts += daemons.get(watching.url + path).decode()
    texts = html.unescape(texts)
    shown = sum(payload[:14] in texts for payload in stage.PAYLOADS)
    print(f"      {shown} of {len(stage.PAYLOADS)} payloads shown as text on {len(paths)} pages", flush=True)
    return problems + ([f"only {shown} payloads came as far as the page"] if shown < 55 else [])
