"""How commands speak: tables and progress for people on a terminal, plain lines for programs.

Standard output holds the answer and nothing else; remarks and complaints go to standard error. What was written by
others (names of tokens, e-mail addresses) cannot steer the terminal. Rich is imported where it draws: `serve` never
does.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import typer

from gateway.errors import Invalid


def say(text: str) -> None:
    """One line of the answer; a tab stays one."""
    sys.stdout.write("\t".join(map(printable, text.split("\t"))) + "\n")


def remark(text: str) -> None:
    """One line for people, beside the answer."""
    sys.stderr.write(printable(text) + "\n")


def complain(text: str) -> None:
    """Why it could not be done, in one line."""
    sys.stderr.write(f"error: {printable(' '.join(text.split()))}\n")


def hand_over() -> None:
    """Hand on what was said so far; raises OSError. Left to the end of the process, a failure would be a trace."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what it still holds
        raise OSError(error.errno, error.strerror, "standard output") from error


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows of an answer: a table on a terminal, lines with tabs and without a head elsewhere. None and "" are empty."""
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not is_terminal():
        for row in cells:
            sys.stdout.write("\t".join(row) + "\n")
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))
    Console(file=sys.stdout).print(shown)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values of one thing, a line each."""
    for name, value in pairs:
        shown = ", ".join(map(str, value)) if isinstance(value, tuple | list) else value
        say(f"{name}: {'' if shown is None else shown}")


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, a line for every tenth elsewhere; call it with bytes done and bytes in all."""
    if not sys.stderr.isatty():
        yield _plain_progress(title)
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_progress(title: str) -> Callable[[int, int], None]:
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = done * 10 // total if total else 10
        if tenth > told:
            told = tenth
            remark(f"{title} {tenth * 10}% ({size(done)} of {size(total)})")

    return tell


def printable(text: str) -> str:
    """The text with every control character made visible, so that it cannot move the cursor or hide lines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def size(count: int) -> str:
    """Bytes for people: `1.5 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(at: float | None) -> str:
    """POSIX seconds as RFC 3339, or nothing."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def confirm(question: str) -> None:
    """Ask before what cannot be undone; raises Invalid when nobody can answer, or the answer is no."""
    if not sys.stdin.isatty():
        raise Invalid("this cannot be undone: add --yes")
    if not typer.confirm(question, err=True):
        raise Invalid("nothing was done")
