"""What the kernel saw: while hostile paths arrive, the server touches no file but its own.

The product runs under strace, which writes down every system call that takes a file's name. Whatever an attacker sends
holds a mark that no file of ours has, so a name that came through would be found wherever it led.
"""

import json
import os
import re
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients.gateway import DELETE, Gateway
from tests.clients.install import ROOT
from tests.clients.tools import tool
from tests.fakes.upstream import FaultyUpstream
from tests.test_hostile_paths import HOSTILE

pytestmark = pytest.mark.client

MARK = "qqattackqq"
KINDS = ("pypi", "npm", "container", "maven", "nuget", "rubygems")
PREFIXES = {
    "pypi": ("", "simple/", "files/left/", "pypi/"),
    "npm": ("", "left/-/", "-/package/", "@acme/"),
    "container": ("", "v2/", "v2/left/manifests/", "v2/left/blobs/", "v2/left/blobs/uploads/"),
    "maven": ("", "com/acme/", "com/acme/tool/1.0/"),
    "nuget": ("", "flat/left/", "v3/", "symbols/"),
    "rubygems": ("", "info/", "gems/", "quick/Marshal.4.8/", "api/v1/gems/"),
}
OUTSIDE_OF_A_REPOSITORY = ("/", "/-/ui/", "/-/ui/static/", "/-/api/v1/", "/v2/", "/pypi/", "/pypi/acme/", "/container/")
# Further files that Python, its libraries and the C library read when they are first used.
SYSTEM = ("/dev/null", "/dev/urandom", "/etc/localtime", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")
SYSTEM_FOLDERS = ("/proc/", "/lib/", "/usr/lib/", "/usr/share/zoneinfo/", "/sys/")

_NAME = re.compile(rb'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)+)"')
_CALL = re.compile(rb"^\d+ +(\w+)\(")
_OCTAL = re.compile(rb"\\([0-7]{1,3})")


class Trace:
    """The file that strace writes while a server runs."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def command(self) -> list[str]:
        """What stands before the server's own command. -D: the server stays the process that is started."""
        watch = ["-D", "-f", "-y", "--seccomp-bpf", "-e", "trace=%file", "-e", "signal=none"]
        return [*tool("strace"), *watch, "-o", str(self.file)]

    @property
    def size(self) -> int:
        return self.file.stat().st_size

    def names(self, since: int) -> Iterator[bytes]:
        """Every file name in a system call after the first `since` bytes, absolute but otherwise as it was given."""
        for line in self.file.read_bytes()[since:].splitlines():
            if _CALL.match(line):
                for folder, name in _NAME.findall(line):
                    plain = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), name)
                    yield plain if plain.startswith(b"/") else (folder or os.fsencode(ROOT)) + b"/" + plain

    def wait(self) -> None:
        """Until strace has written its last line."""
        deadline = time.monotonic() + 20
        while b"+++ exited with" not in self.file.read_bytes()[-200:]:
            assert time.monotonic() < deadline, "strace did not end with the server"
            time.sleep(0.05)


def ask(gateway: Gateway, method: str, target: str, token: str, body: bytes = b"") -> tuple[int, str, bytes]:
    """Status, media type and body of the answer to a request target that is sent as it is."""
    basic = b64encode(f"acme:{token}".encode()).decode()
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Basic {basic}\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before it was all said
            connection.sendall(head.encode("latin-1") + body)
        whole = b""
        while chunk := connection.recv(65536):
            whole += chunk
    answered, _, content = whole.partition(b"\r\n\r\n")
    media = re.search(rb"(?i)\ncontent-type: ([^;\r]+)", answered)
    return int(answered.split(b" ", 2)[1]), media[1].decode() if media else "", content


def attacks(kind: str) -> Iterator[str]:
    """Every hostile end of an address, behind the mark and before it, at every place of this ecosystem's."""
    for prefix in PREFIXES[kind]:
        for hostile in HOSTILE:
            yield f"/{kind}/acme/tools/{prefix}{MARK}/{hostile}"
            yield f"/{kind}/acme/tools/{prefix}{hostile}/{MARK}"


def test_hostile_paths_lead_to_no_file_outside_the_stores(tmp_path: Path, fake: FaultyUpstream) -> None:
    upstreams = {f"fake-{kind}": {"type": kind, "url": fake.config(kind).url} for kind in KINDS}
    repositories = {kind: {"acme/tools": {"layers": ["hosted", f"fake-{kind}"]}} for kind in KINDS}
    trace = Trace(tmp_path / "trace")
    gateway = Gateway(tmp_path / "gateway", repositories, upstreams=upstreams, prefix=trace.command)
    with gateway:
        token = gateway.token("acme", DELETE)
        notes = "/maven/acme/tools/com/acme/tool/1.0/tool-1.0-notes.txt"
        begun = trace.size

        assert ask(gateway, "PUT", notes, token, b"content")[0] == 201
        assert ask(gateway, "GET", notes, token)[::2] == (200, b"content")
        controlled = trace.size
        for method in ("GET", "PUT", "DELETE"):
            for kind, target in ((one, target) for one in KINDS for target in attacks(one)):
                status, media, body = ask(gateway, method, target, token)
                assert 400 <= status < 500, (method, target[:200], status)
                assert is_in_the_form_of(kind, media, body), (method, target[:200], media, body)
        for prefix in OUTSIDE_OF_A_REPOSITORY:
            for hostile in HOSTILE:
                status, _, _ = ask(gateway, "GET", f"{prefix}{hostile}/{MARK}", token)
                assert 400 <= status < 500, (prefix, hostile[:200], status)
    trace.wait()

    seen = set(trace.names(begun))
    blobs = os.fsencode(gateway.data / "hosted" / "blobs")
    assert any(name.startswith(blobs) for name in seen), "the trace shows what an ordinary upload and download touch"
    assert {name for name in seen if not belongs(name, gateway)} == set()
    assert {name for name in trace.names(controlled) if carries_an_attack(name)} == set()


def is_in_the_form_of(kind: str, media: str, body: bytes) -> bool:
    """Whether it is how registries of this ecosystem refuse."""
    if kind in {"pypi", "rubygems"} or (kind == "maven" and media == "text/plain"):
        return media == "text/plain" and body != b""
    said = json.loads(body)
    if kind == "container":
        return all(error["code"] and error["message"] for error in said["errors"])
    return bool(said["detail"]) and media == "application/problem+json" if kind == "maven" else bool(said["error"])


def belongs(name: bytes, gateway: Gateway) -> bool:
    """Whether it leads to the data folder, lies in it or in the installation, or is what every program reads."""
    path = os.path.normpath(os.fsdecode(name))
    ours = (gateway.data, ROOT / "gateway", ROOT / "adapters", Path(sys.prefix), Path(sys.base_prefix))
    return (
        any(Path(path).is_relative_to(folder) for folder in ours)
        or Path(path) in gateway.data.parents
        or path in SYSTEM
        or path.startswith(SYSTEM_FOLDERS)
    )


def carries_an_attack(name: bytes) -> bool:
    return any(part in name for part in (MARK.encode(), b"passwd", b"%", b"/../", b"\\", b"\r", b"x" * 100))
