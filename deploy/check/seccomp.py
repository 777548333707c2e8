#!/usr/bin/env python3
"""Runs a command under the seccomp filters that a unit declares, as systemd would install them: SystemCallFilter, MemoryDenyWriteExecute,
RestrictAddressFamilies, RestrictNamespaces. Which calls are in a group is what `systemd-analyze syscall-filter` says. x86-64 only.

    seccomp.py UNIT COMMAND [ARGUMENT …]
"""

import ctypes
import errno
import mmap
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys

ARCH = 0xC000003E  # AUDIT_ARCH_X86_64
HEADER = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER_AT, ARCH_AT = 0, 4
NEW_NAMESPACES = 0x7E020000
PR_SET_SECCOMP, FILTER = 22, 2


def argument(place):
    """Where the lower half of an argument stands in seccomp_data."""
    return 16 + 8 * place


def groups():
    """Names of calls and of other groups, by group."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], check=True, capture_output=True, text=True).stdout
    found, name = {}, None
    for line in said.splitlines():
        word = line.strip()
        if line.startswith("@"):
            found[name := word] = []
        elif name and word and not word.startswith("#"):
            found[name].append(word)
    return found


def calls(words, known):
    """The calls that groups and names stand for."""
    for word in words:
        if word.startswith("@"):
            yield from calls(known[word], known)
        else:
            yield word


def declared(unit, key):
    """Values of a key, in order."""
    return re.findall(rf"^{key}=(.*)$", pathlib.Path(unit).read_text(), re.M)


def allowed(unit, numbers):
    """Numbers of the calls that the unit's SystemCallFilter lines leave."""
    known, left = groups(), set()
    for line in declared(unit, "SystemCallFilter"):
        named = set(calls(line.lstrip("~").split(), known))
        left = left - named if line.startswith("~") else left | named
    return {numbers[name] for name in left | set(calls(["@default"], known)) if name in numbers}


def refuse(number, code, checks=()):
    """One call is refused: always, or when an argument has one of some bits. What follows finds the call's number loaded."""
    body = []
    for place, bits in checks:
        body += [(LOAD, 0, 0, argument(place)), (ANY_BIT, 0, 1, bits), (RETURN, 0, 0, ERRNO | code), (LOAD, 0, 0, NUMBER_AT)]
    body = body or [(RETURN, 0, 0, ERRNO | code)]
    return [(EQUAL, 0, len(body), number), *body]


def program(unit):
    """The filter."""
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", HEADER.read_text())}
    lines = [(LOAD, 0, 0, ARCH_AT), (EQUAL, 1, 0, ARCH), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER_AT)]
    if declared(unit, "MemoryDenyWriteExecute") == ["yes"]:
        write_and_execute = [(LOAD, 0, 0, argument(2)), (0x54, 0, 0, 6), (EQUAL, 0, 1, 6), (RETURN, 0, 0, ERRNO | errno.EPERM), (LOAD, 0, 0, NUMBER_AT)]
        lines += [(EQUAL, 0, len(write_and_execute), numbers["mmap"]), *write_and_execute]
        lines += refuse(numbers["mprotect"], errno.EPERM, [(2, 4)]) + refuse(numbers["pkey_mprotect"], errno.EPERM, [(2, 4)])
    if declared(unit, "RestrictNamespaces") == ["yes"]:
        lines += refuse(numbers["clone3"], errno.ENOSYS) + refuse(numbers["clone"], errno.EPERM, [(0, NEW_NAMESPACES)])
        lines += refuse(numbers["unshare"], errno.EPERM) + refuse(numbers["setns"], errno.EPERM)
    families = [int(getattr(socket, name)) for line in declared(unit, "RestrictAddressFamilies") for name in line.split()]
    if families:
        body = [(LOAD, 0, 0, argument(0)), *((EQUAL, len(families) - at, 0, family) for at, family in enumerate(families))]
        body += [(RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT), (LOAD, 0, 0, NUMBER_AT)]
        lines += [(EQUAL, 0, len(body), numbers["socket"]), *body]
    for number in sorted(allowed(unit, numbers)):
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code = getattr(errno, declared(unit, "SystemCallErrorNumber")[0])
    return [*lines, (RETURN, 0, 0, ERRNO | code)]


def install(lines):
    """From now on the filter holds; the caller has no new privileges."""
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    header = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        sys.exit(f"error: the filter is refused: {os.strerror(ctypes.get_errno())}")


def must_fail(what, attempt):
    """What the unit forbids: a filter that lets it through would prove nothing."""
    try:
        attempt()
    except OSError:
        return
    sys.exit(f"error: {what} goes through the filter")


def main():
    """Command line."""
    unit, command = sys.argv[1], sys.argv[2:]
    lines = program(unit)
    install(lines)
    must_fail("a netlink socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    must_fail("memory to write and execute", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
    must_fail("sched_setaffinity", lambda: os.sched_setaffinity(0, {0}))
    print(f"seccomp: {len(lines)} instructions, 3 forbidden calls refused", file=sys.stderr, flush=True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
