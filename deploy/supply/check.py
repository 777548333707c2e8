#!/usr/bin/env python3
"""Bans, licences, sources and advisories of deny.toml, with nothing but Python's standard library: the cheap part of `cargo deny`, for every run.

    python3 check.py [--advisories DIR]     DIR holds `crates/NAME/RUSTSEC-….md`; without it advisories are NOT CHECKED, and that is said
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def version(text):
    """A version as something that compares; a pre-release comes before its release."""
    core, _, pre = text.partition("+")[0].partition("-")
    numbers = [int(part) for part in core.split(".")]
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")] if pre else []
    return (*numbers, *[0] * (3 - len(numbers))), not pre, parts


def above(text):
    """The first version that a caret requirement leaves out."""
    numbers = [int(part) for part in re.split(r"[-+]", text)[0].split(".")]
    place = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    return ".".join(map(str, numbers[:place] + [numbers[place] + 1]))


def matches(requirement, found):
    """Whether a version meets a requirement, such as `>= 1.2, < 2` or `^0.3`."""
    for part in requirement.split(","):
        sign, wanted = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~)?\s*([0-9][^\s]*)\s*", part).groups()
        have, want = version(found), version(wanted)
        holds = {
            ">=": have >= want,
            ">": have > want,
            "<": have < want,
            "<=": have <= want,
            "=": have == want,
            "^": want <= have < version(above(wanted)),
            None: want <= have < version(above(wanted)),
            "~": want <= have and have[0][: wanted.count(".") or 1] == want[0][: wanted.count(".") or 1],
        }[sign]
        if not holds:
            return False
    return True


def licensed(expression, allowed):
    """Whether an SPDX expression can be met with the allowed licences."""
    words = re.findall(r"\(|\)|[\w.+-]+", expression.replace("/", " OR "))

    def either():
        result = both()
        while words and words[0] == "OR":
            words.pop(0)
            result = both() or result
        return result

    def both():
        result = one()
        while words and words[0] == "AND":
            words.pop(0)
            result = one() and result
        return result

    def one():
        word = words.pop(0)
        if word == "(":
            result = either()
            words.pop(0)
            return result
        if words and words[0] == "WITH":
            word = f"{word} WITH {words[1]}"
            del words[:2]
        return word in allowed

    return either()


def cargo(*words):
    """What cargo says."""
    return subprocess.run(["cargo", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def reached(targets):
    """Packages that the program is built of, dev-dependencies and features that nobody switches on left out."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1"))
    built = set()
    for target in targets:
        tree = cargo("tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "--target", target)
        built |= {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    return metadata, [package for package in metadata["packages"] if (package["name"], f"v{package['version']}") in built]


def problems(packages, policy, advisories):
    """What the policy has against these packages."""
    for package in packages:
        named = f"{package['name']} {package['version']}"
        for ban in policy["bans"]["deny"]:
            name, _, requirement = ban["crate"].partition("@")
            if name == package["name"] and (not requirement or matches(requirement, package["version"])):
                yield f"{named} is banned: {ban['reason']}"
        if package["source"]:
            if not licensed(package["license"] or "none", policy["licenses"]["allow"]):
                yield f"{named}: licence {package['license']} is not allowed"
            if package["source"].removeprefix("registry+") not in policy["sources"]["allow-registry"]:
                yield f"{named} comes from {package['source']}"
        for found in advisories.get(package["name"], []):
            advisory, versions = found["advisory"], found.get("versions", {})
            safe = versions.get("patched", []) + versions.get("unaffected", [])
            ignored = advisory["id"] in policy["advisories"]["ignore"] or advisory.get("withdrawn") or advisory.get("informational")
            if not ignored and not any(matches(requirement, package["version"]) for requirement in safe):
                yield f"{named}: {advisory['id']}"


def read_advisories(folder):
    """Advisories by crate."""
    found = {}
    for path in sorted(folder.glob("crates/*/*.md")):
        front = re.search(r"```toml\n(.*?)```", path.read_text(), re.S)
        found.setdefault(path.parent.name, []).append(tomllib.loads(front.group(1)))
    return found


def controls(policy, advisories):
    """What must be found: a check that cannot fail would prove nothing."""
    fine = {"source": "registry+" + policy["sources"]["allow-registry"][0], "license": "MIT"}
    planted = [
        {**fine, "name": "ring", "version": "0.17.14"},
        {**fine, "name": "jsonwebtoken", "version": "10.2.0"},
        {**fine, "name": "some", "version": "1.0.0", "license": "GPL-3.0-only"},
        {**fine, "name": "some", "version": "1.0.0", "source": "git+https://example.org/some"},
    ]
    if advisories:
        planted.append({**fine, "name": "tungstenite", "version": "0.20.0"})
    for package in planted:
        if not list(problems([package], policy, advisories)):
            sys.exit(f"error: {package['name']} {package['version']} was planted and not found")
    if list(problems([{**fine, "name": "jsonwebtoken", "version": "10.3.0"}], policy, advisories)):
        sys.exit("error: jsonwebtoken 10.3.0 is found although nothing is wrong with it")
    return len(planted)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advisories", type=pathlib.Path)
    chosen = parser.parse_args()
    policy = tomllib.loads((ROOT / "deny.toml").read_text())
    _, packages = reached(policy["graph"]["targets"])
    advisories = read_advisories(chosen.advisories) if chosen.advisories else {}
    planted = controls(policy, advisories)
    wrong = list(problems(packages, policy, advisories))
    for problem in wrong:
        print(f"error: {problem}", file=sys.stderr)
    number = sum(map(len, advisories.values()))
    known = f"{number} advisories" if number else "advisories NOT CHECKED: no mirror"
    print(f"{'error' if wrong else 'ok   '} supply: {len(packages)} crates, bans, licences, sources; {known}; {planted} planted ones found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
