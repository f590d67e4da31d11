"""The load generators: wrk for small bodies, `bench.reader` for large ones; both bound to the client's CPU."""

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from bench.measure import CLIENT_CPU, Window, pinned

_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_QUIET_CORES = 0.3
_TRIES = 3

T = TypeVar("T")


class LoadFailed(Exception):
    """A generator saw errors: a number from such a window would mean nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to ask: which server, its process, the address and the headers of the request."""

    server: str
    pid: int
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rate:
    """One window of small requests. cpu: seconds per 1,000 requests; p50, p99: milliseconds."""

    per_second: float
    cpu: float
    p50: float
    p99: float
    other: float


@dataclass(frozen=True, slots=True)
class Flow:
    """One window of large bodies. speed: GB/s; cpu: seconds per GB; first: seconds to the first byte."""

    speed: float
    cpu: float
    first: float
    seconds: float
    other: float


Measured = TypeVar("Measured", Rate, Flow)


def rate(target: Target, connections: int, seconds: float, *, cpu: str = CLIENT_CPU, threads: int = 1) -> Rate:
    """Run wrk once; a window with other work on the machine is repeated, and the quietest one counts."""
    return min(_until_quiet(lambda: _wrk(target, connections, seconds, cpu, threads)), key=lambda one: one.other)


def flow(target: Target, connections: int, count: int) -> Flow:
    """Download `count` times over so many connections; the window is repeated as for `rate`."""
    return min(_until_quiet(lambda: download(target, connections, count)), key=lambda one: one.other)


def download(target: Target, connections: int, count: int, **wanted: float) -> Flow:
    """Download once, whatever else the machine does: for cold files, which cannot be asked for twice."""
    with Window(target.pid) as window:
        said = read(target, connections=connections, count=count, **wanted)
    gigabytes = said["bytes"] / 1e9
    return Flow(gigabytes / said["seconds"], window.cpu / gigabytes, said["first"], said["seconds"], window.other)


def read(target: Target, **wanted: float) -> dict[str, float]:
    """Run the reader with these keys; raises LoadFailed when a download failed."""
    process = start_reader(target, **wanted)
    out, err = process.communicate(timeout=600)
    if process.returncode != 0:
        raise LoadFailed(f"{target.url}: {err[-500:]}")
    said: dict[str, float] = json.loads(out)
    if said["errors"]:
        raise LoadFailed(f"{target.server}: {target.url}: {said}")
    return said


def start_reader(target: Target, **wanted: float) -> subprocess.Popen[str]:
    """The reader as a running process."""
    parts = urlsplit(target.url)
    told = {"port": parts.port, "path": parts.path, "headers": dict(target.headers), **wanted}
    command = pinned(CLIENT_CPU, [sys.executable, "-m", "bench.reader", json.dumps(told)])
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def upload(target: Target, method: str, file: Path, before: str = "", after: str = "") -> Flow:
    """Send one file, with this text around it; raises LoadFailed unless it is accepted."""
    parts = urlsplit(target.url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    told = {"port": parts.port, "path": path, "method": method, "headers": dict(target.headers)}
    told |= {"file": str(file), "before": before, "after": after}
    command = pinned(CLIENT_CPU, [sys.executable, "-m", "bench.sender", json.dumps(told)])
    with Window(target.pid) as window:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise LoadFailed(f"{target.url}: {done.stderr[-500:]}")
    said = json.loads(done.stdout)
    if said["status"] >= 300:
        raise LoadFailed(f"{target.server}: {target.url}: {said}")
    gigabytes = said["bytes"] / 1e9
    return Flow(gigabytes / said["seconds"], window.cpu / gigabytes, 0.0, said["seconds"], window.other)


def interleaved(
    targets: Sequence[Target], rounds: int, measure: Callable[[Target], T], say: Callable[[str], None]
) -> dict[str, list[T]]:
    """Visit the targets A B C, A B C, …; server → what was measured in each round. The caller has warmed them up."""
    results: dict[str, list[T]] = {target.server: [] for target in targets}
    for number in range(rounds):
        for target in targets:
            result = measure(target)
            say(f"  round {number + 1} {target.server}: {result}")
            results[target.server].append(result)
    return results


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def _until_quiet(once: Callable[[], Measured]) -> list[Measured]:
    windows: list[Measured] = []
    while len(windows) < _TRIES and (not windows or windows[-1].other > _QUIET_CORES):
        windows.append(once())
    return windows


def _wrk(target: Target, connections: int, seconds: float, cpu: str, threads: int) -> Rate:
    headers = [part for name, value in target.headers.items() for part in ("-H", f"{name}: {value}")]
    load = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "--latency"]
    with Window(target.pid) as window:
        done = subprocess.run(
            pinned(cpu, [*load, *headers, target.url]),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
    text = done.stdout
    requests = re.search(r"(\d+) requests in", text)
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if done.returncode != 0 or requests is None or per_second is None or int(requests[1]) == 0:
        raise LoadFailed(f"{target.server}: {target.url}: {text}{done.stderr}")
    if "Non-2xx" in text or "Socket errors" in text:
        raise LoadFailed(f"{target.server}: {target.url}: {text}")
    cost = window.cpu / int(requests[1]) * 1000
    return Rate(float(per_second[1]), cost, _percentile(text, 50), _percentile(text, 99), window.other)


def _percentile(text: str, percent: int) -> float:
    """Milliseconds from wrk's `99%    1.23ms` line."""
    found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
