"""What a run found: checks against the goals and measured medians, written as `bench/RESULTS.md`."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Check:
    """One goal and what was measured. `at_least`: the value must not be under the gate, else not over it."""

    what: str
    value: float
    gate: float
    stretch: float | None = None
    at_least: bool = True
    unit: str = "×"

    @property
    def is_met(self) -> bool:
        return self.reaches(self.gate)

    def reaches(self, goal: float) -> bool:
        return self.value >= goal if self.at_least else self.value <= goal

    def row(self, case: str) -> str:
        sign = "≥" if self.at_least else "≤"
        goal = f"{sign} {self.gate:g}"
        if self.stretch is not None:
            goal += f" (stretch {self.stretch:g})"
        verdict = "**not met**"
        if self.is_met:
            verdict = "met, stretch too" if self.stretch is not None and self.reaches(self.stretch) else "met"
        value = f"{_number(self.value)} {self.unit}".rstrip()
        return f"| {case} | {self.what} | {value} | {goal} | {verdict} |"


@dataclass(slots=True)
class Outcome:
    """The result of one case: its checks, its medians (server and condition → text), or why it failed."""

    case: str
    title: str
    checks: list[Check] = field(default_factory=list)
    medians: list[tuple[str, str]] = field(default_factory=list)
    failure: str = ""

    def median(self, what: str, text: str) -> None:
        self.medians.append((what, text))


def write(path: Path, outcomes: Sequence[Outcome], command: str, folder: Path, seconds: float) -> None:
    """Write the results page."""
    rows = [check.row(outcome.case) for outcome in outcomes for check in outcome.checks]
    failed = [f"- {outcome.case}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    met = sum(check.is_met for outcome in outcomes for check in outcome.checks)
    total = sum(len(outcome.checks) for outcome in outcomes)
    text = [
        "# Benchmark results",
        "",
        (
            f"`{command}` on {os.cpu_count()} CPUs ({_processor()}), Linux {platform.release()}, "
            f"CPython {platform.python_version()}; data on {_filesystem(folder)}; {seconds / 60:.0f} minutes."
        ),
        "",
        (
            "Ratios of medians over interleaved rounds. Bodies: server tree on CPU 0, generator on CPU 1, "
            "everything on loopback; the product runs with token authentication, access log, metrics and SQLite. The "
            "reference is nginx with `tcp_nopush off` and no access log, serving the same bytes from disk. "
            "How the goals came about stands in the cases (`bench/cases_*.py`)."
        ),
        "",
        f"{met} of {total} goals met.",
        "",
        "| case | what | measured | goal | verdict |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    if failed:
        text += ["## Not measured", "", *failed, ""]
    text += ["## Medians", "", "| case | server and condition | measured |", "|---|---|---|"]
    text += [f"| {outcome.case} | {what} | {said} |" for outcome in outcomes for what, said in outcome.medians]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [(point, kind) for point, kind in mounts if f"{folder.resolve()}/".startswith(point.rstrip("/") + "/")]
    return max(inside, key=lambda mount: len(mount[0]), default=("/", "unknown"))[1]
