"""`python -m bench`: measure the product against nginx and its peers, and write `bench/RESULTS.md`.

    python -m bench --only page,wheel --rounds 3 --seconds 3

A case that cannot be measured (a peer or nginx missing, errors under load) is reported as such and the others go on.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import cases_clients, cases_containers, cases_files, cases_maven, cases_nuget, cases_rubygems, cases_small
from bench.arena import Arena
from bench.load import LoadFailed
from bench.report import Outcome, write
from tests.clients import install

CASES: Mapping[str, Callable[[Arena, Outcome], None]] = {
    # Those that write gigabytes come before others have left the machine's free memory in pieces, part of them fresh.
    "cold": cases_files.cold,
    "followers": cases_files.followers,
    "upload": cases_files.uploads,
    "startup": cases_clients.startup,
    "page": cases_small.page,
    "packument": cases_small.packument,
    "conditional": cases_small.conditional,
    "wheel": cases_small.wheel,
    "big": cases_small.big,
    "workers": cases_small.workers,
    "10m": cases_files.ten_megabytes,
    "1g": cases_files.gigabyte,
    "slow": cases_files.slow,
    "pip": cases_clients.pip,
    "npm": cases_clients.npm,
    "nuget": cases_nuget.packages,
    "gems": cases_rubygems.index,
    "gem-publish": cases_rubygems.publish,
    "manifest": cases_containers.manifest,
    "layer": cases_containers.layer,
    "push": cases_containers.push,
    "crowd": cases_containers.crowd,
    "maven": cases_maven.artifacts,
    "mvn": cases_maven.application,
}
RESULTS = Path(__file__).parent / "RESULTS.md"
_ROOMY = 12 * 1024**3


def main(arguments: Sequence[str]) -> int:
    """Run the chosen cases; 0 when all were measured and met their goals."""
    options = _parser().parse_args(arguments)
    names = options.only.split(",") if options.only else list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        print(f"unknown case {unknown[0]} (known: {', '.join(CASES)})", file=sys.stderr)
        return 2
    install.main(["debian", "node", "python", "java", "containers"])
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=options.folder or _default_folder()))
    outcomes: list[Outcome] = []
    with Arena(folder, options.rounds, options.seconds, _say) as arena:
        for name in names:
            outcomes.append(_measure(arena, name))
            command = " ".join(["python -m bench", *arguments])
            write(options.output, outcomes, command, folder, time.perf_counter() - started)
    return 0 if all(not one.failure and all(check.is_met for check in one.checks) for one in outcomes) else 1


def _measure(arena: Arena, name: str) -> Outcome:
    case = CASES[name]
    outcome = Outcome(name, (case.__doc__ or "").split("\n", 1)[0])
    _say(f"{name}: {outcome.title}")
    began = time.perf_counter()
    try:
        case(arena, outcome)
    except (LoadFailed, OSError, RuntimeError, ValueError, AssertionError) as error:
        outcome.failure = " ".join(str(error).split())[:400]
        _say(f"  not measured: {outcome.failure}")
    for check in outcome.checks:
        _say(f"  {check.row(name)}")
    _say(f"  {time.perf_counter() - began:.0f} s")
    return outcome


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--only", default="", help=f"comma-separated cases: {', '.join(CASES)}")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of each case")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one window of small requests")
    parser.add_argument("--folder", default="", help="where data is put; memory when it is roomy, else the temp folder")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the results page")
    return parser


def _default_folder() -> str:
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOMY else tempfile.gettempdir()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
