"""A staging that answers with markup: in bodies, headers, JSON keys, frames and close reasons, one payload at a time.

Standard library only; every connection is one exchange, so that it stays small enough to read.
"""

import base64
import hashlib
import json
import pathlib
import socketserver
import struct

PAYLOADS = json.loads((pathlib.Path(__file__).parent / "payloads.json").read_text())

CONFIG = """
target:
  name: hostile
  environment: rehearsal
  bases: {{ web: "http://127.0.0.1:{port}" }}
  sockets: {{ chat: {{ url: "ws://127.0.0.1:{port}/chat" }} }}
  http: {{ user_agent: "see/1", allow_addresses: [loopback] }}
  limits: [ {{ name: all, counts: "true", max: 100000, per: 60s }} ]
service: {{ listen: "127.0.0.1:0", data_dir: "{data}", api_token: {{ env: SEE_TOKEN }} }}
modules: [hostile-module.yaml]
"""

MODULE = """
module: hostile
number: 1
title: Hostile answers
severity: critical
owner: nobody
scenarios:
  answers:
    schedule: {{ every: 10s }}
    deadline: 60s
    steps:
      - repeat: {count}
        index: i
        steps: [ {{ http: {{ id: reply, base: web, path: "/p/${{i}}" }}, on_failure: go_on }} ]
  refusals:
    schedule: {{ every: 10s }}
    deadline: 60s
    steps:
      - repeat: {count}
        index: i
        steps: [ {{ ws.open: {{ id: refused, socket: chat, path: "/refuse/${{i}}", auth: none }}, on_failure: go_on }} ]
  closes:
    schedule: {{ every: 10s }}
    deadline: 60s
    steps:
      - repeat: {count}
        index: i
        steps:
          - ws.open: {{ id: opened, socket: chat, path: "/close/${{i}}", auth: none }}
            on_failure: go_on
          - ws.receive: {{ id: heard, until: "frame.json.never == 'x'", within: 2s }}
            on_failure: go_on
checks:
  - {{ id: body, title: Bodies and headers, parts: [ {{ needs: [answers], expect: [ {{ that: "reply[0].status == 204", else: "it said ${{reply[0].body.text}} and ${{reply[1].headers['x-said']}}" }} ] }} ] }}
  - {{ id: refused, title: Refused upgrades, parts: [ {{ needs: [refusals], expect: [ {{ that: "refused[0].status == 101", else: "it said ${{refused[0].body.text}}" }} ] }} ] }}
  - {{ id: closed, title: Close reasons and frames, parts: [ {{ needs: [closes], expect: [ {{ that: "heard[2].matched", else: "it closed with ${{heard[2].close.reason}}" }} ] }} ] }}
"""


class Answer(socketserver.StreamRequestHandler):
    """One exchange."""

    timeout = 20

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            line = self.rfile.readline(65536)
            if not line:
                return
            head += line
        path = head.split(b" ", 2)[1].decode()
        kind, _, number = path.strip("/").partition("/")
        payload = PAYLOADS[int(number) % len(PAYLOADS)] if number.isdigit() else PAYLOADS[0]
        if kind == "close":
            self.close(head, payload)
            return
        body = json.dumps({payload: payload, "list": [{payload: 1}]}) if int(number or 0) % 2 else payload
        status = "500 Internal Server Error" if kind == "refuse" else "200 OK"
        header = "".join(c for c in payload if c.isprintable()).encode("utf-8")
        data = body.encode()
        self.wfile.write(b"HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nX-Said: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                         % (status.encode(), header, len(data)) + data)

    def close(self, head: bytes, payload: str):
        """Accepts, says the payload in a frame and in a JSON key, and closes with it as the reason."""
        key = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept)
        self.frame(1, payload.encode())
        self.frame(1, json.dumps({payload: payload, "type": payload}).encode())
        reason = payload.encode()[:120].decode("utf-8", "ignore").encode()
        self.frame(8, struct.pack(">H", 4000) + reason)
        self.wfile.flush()
        self.connection.settimeout(2)
        try:
            self.connection.recv(1024)
        except OSError:
            pass  # it may be gone already

    def frame(self, opcode: int, data: bytes):
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
        self.wfile.write(bytes([0x80 | opcode]) + length + data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def write_config(folder: pathlib.Path, port: int) -> pathlib.Path:
    """The configuration of a daemon that watches it."""
    (folder / "hostile-module.yaml").write_text(MODULE.format(count=len(PAYLOADS)))
    main = folder / "hostile.yaml"
    main.write_text(CONFIG.format(port=port, data=folder / "data"))
    return main
