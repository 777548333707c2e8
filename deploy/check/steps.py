#!/usr/bin/env python3
"""The Dockerfile's steps by hand: what its COPY lines name goes into an empty folder, and there its build command has to work
(unoptimised, so that the compiled dependencies of the checkout serve), and the result has to start with what the last stage holds."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import policy

ROOT = policy.ROOT


def copy(steps, folder):
    """COPY of one stage, from the context."""
    for source in policy.sources(steps):
        origin = ROOT / source
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, folder / source)
        else:
            shutil.copy(origin, folder / source)


def run(command, folder, **more):
    """Runs a command that must succeed; gives what it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, **more)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)}\n{done.stderr}")
    return done.stdout


def main():
    """Build stage, then last stage."""
    steps = policy.instructions((policy.HERE / "docker" / "Dockerfile").read_text())
    last = max(at for at, (name, _) in enumerate(steps) if name == "FROM")
    build = next(rest for name, rest in steps if name == "RUN" and "cargo build" in rest).split()
    build.remove("--release")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target"), "STAGEWATCH_REVISION": "0123456789ab"}
    with tempfile.TemporaryDirectory() as name:
        source, image = pathlib.Path(name, "src"), pathlib.Path(name, "image")
        source.mkdir()
        image.mkdir()
        copy(steps[:last], source)
        run(build, source, env=environment)
        binary = image / "stagewatch"
        shutil.copy(ROOT / "target" / "debug" / "stagewatch", binary)
        copy(steps[last:], image)
        version = run([binary, "--version"], image)
        if "0123456789ab" not in version:
            sys.exit(f"error: --version says {version!r}, not the revision that the build was given")
        run([binary, "validate", "--config", image / "config" / "rehearsal.yaml"], image)
        health = subprocess.run([binary, "health", "http://127.0.0.1:1"], capture_output=True, text=True, timeout=30)
        if health.returncode != 1:
            sys.exit(f"error: health of nothing ends with {health.returncode}: {health.stderr}")
    print("ok    the Dockerfile's steps, by hand in an empty folder")


if __name__ == "__main__":
    main()
