"""What processes cost: CPU seconds and memory of a process tree, and how much other work disturbed a window.

Linux only (/proc). CPU time of the whole tree is the primary number of every comparison: it varies by a few percent
where requests per second vary by half on a shared machine.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CPU = "0"
CLIENT_CPU = "1"


def pinned(cpu: str, command: list[str]) -> list[str]:
    """The command, bound to these CPUs (`0`, `1` or `0,1`)."""
    return ["taskset", "-c", cpu, *command]


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree, reaped children included."""
    total = 0
    for member in tree(pid):
        if fields := _stat(member):
            total += sum(int(value) for value in fields[11:15])
    return total / _TICKS


def memory(pid: int) -> int:
    """Proportional set size of the tree in bytes."""
    total = 0
    for member in tree(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total


@dataclass(slots=True)
class Window:
    """A measured stretch of time: `with Window(pid) as window:`, then read its fields.

    seconds: wall time. cpu: CPU seconds of the server's tree. other: cores that neither the server nor our own children
    (the load generator, once it was awaited) used; negative noise is cut off at 0.
    """

    pid: int
    seconds: float = 0.0
    cpu: float = 0.0
    other: float = 0.0
    _start: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __enter__(self) -> Self:
        self._start = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        seconds, cpu, busy, own = (now - then for now, then in zip(self._now(), self._start, strict=True))
        self.seconds, self.cpu = seconds, cpu
        self.other = max(0.0, (busy - cpu - own) / seconds)

    def _now(self) -> tuple[float, float, float, float]:
        own = os.times()
        return time.perf_counter(), cpu_seconds(self.pid), _busy(), sum(own[:4])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command name, or [] when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _busy() -> float:
    """CPU seconds that all processors together were not idle."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS
