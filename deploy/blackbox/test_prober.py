#!/usr/bin/env python3
"""Runs blackbox_exporter against a raw server and checks that the prober `ws-http500-plain` succeeds for HTTP 500 only."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ANSWERS = {
    "500": b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 33\r\n\r\n{"error":"Internal server error"}',
    "500 over HTTP/1.0": b"HTTP/1.0 500 Oops\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    "403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "503": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\n500",
    "hang": b"",
}


def serve(listener, answer, seen):
    """Answers every connection with `answer` and leaves it open, until the listener is closed."""
    held = []
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        request = b""
        peer.settimeout(2)
        while b"\r\n\r\n" not in request:
            piece = peer.recv(4096)
            if not piece:
                break
            request += piece
        seen.append(request)
        peer.sendall(answer)
        held.append(peer)


def free_port():
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def probe(exporter, port):
    """`probe_success` for a target."""
    url = f"http://127.0.0.1:{exporter}/probe?module=ws-http500-plain&target=127.0.0.1:{port}"
    # The header shortens the prober's own timeout of 5 s.
    request = urllib.request.Request(url, headers={"X-Prometheus-Scrape-Timeout-Seconds": "2"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    return next(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("probe_success "))


def main():
    """Probes every answer and a closed port."""
    exporter = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["prometheus-blackbox-exporter", f"--config.file={HERE / 'blackbox.yml'}", f"--web.listen-address=127.0.0.1:{exporter}"],
            stdout=log,
            stderr=log,
        )
        try:
            return checked(exporter)
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(timeout=10)


def checked(exporter):
    """0 if every answer was judged right."""
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{exporter}/-/healthy", timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    wrong = 0
    for name, answer in ANSWERS.items():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            seen = []
            threading.Thread(target=serve, args=(listener, answer, seen), daemon=True).start()
            got = probe(exporter, listener.getsockname()[1])
            listener.shutdown(socket.SHUT_RDWR)
        expected = int(name.startswith("500"))
        whole = all(request.endswith(b"\r\n\r\n") and b"Sec-WebSocket-Key: " in request for request in seen) and seen
        good = got == expected and whole
        wrong += not good
        print(f"{'ok   ' if good else 'WRONG'} {name}: probe_success {got}, request {'whole' if whole else 'not whole'}")
    got = probe(exporter, free_port())
    wrong += got != 0
    print(f"{'ok   ' if got == 0 else 'WRONG'} refused: probe_success {got}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
