"""What all commands share: `--config` and `--data`, the opened data folder, and errors as one line.

Exit codes: 0 done, 1 could not be done, 2 the command or the configuration is wrong.
"""

import asyncio
import functools
import inspect
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer
from msgspec import Struct

from gateway import config as configuration
from gateway.cli.output import complain, hand_over
from gateway.config import Config
from gateway.errors import GatewayError, Invalid
from gateway.redaction import scrub_values
from gateway.store.audit import Audit
from gateway.store.blob_rows import BlobRows
from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.documents import DocumentRows
from gateway.store.identities import Identities
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.rows import AuditEntry

CONFIG_VARIABLE = "ENTREPOT_CONFIG"
CATALOGUE = "catalogue.sqlite"
_BEGINNING = frozenset({"create", "claim", "snippet"})  # commands that may come before the first start

Work = TypeVar("Work", bound=Callable[..., Any])

_ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help=f"Configuration file (or ${CONFIG_VARIABLE}).")
]
_DataOption = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder, instead of the file's.")]


class Data(Struct, frozen=True):
    """An opened data folder, with the stores that commands work on."""

    config: Config
    database: Database

    @property
    def identities(self) -> Identities:
        return Identities(self.database)

    @property
    def repositories(self) -> Repositories:
        return Repositories(self.database)

    @property
    def packages(self) -> Packages:
        return Packages(self.database)

    @property
    def blob_rows(self) -> BlobRows:
        return BlobRows(self.database)

    @property
    def documents(self) -> DocumentRows:
        return DocumentRows(self.database)

    @property
    def audit(self) -> Audit:
        return Audit(self.database)

    @property
    def hosted(self) -> FileBlobs:
        return FileBlobs(self.config.data / "hosted")

    @property
    def cache(self) -> FileBlobs:
        return FileBlobs(self.config.data / "cache")

    async def note(self, action: str, repository: str = "", package: str = "", **detail: Any) -> None:
        """Record in the audit what was done, by the user of this shell."""
        entry = AuditEntry(time.time(), shell_user(), action, repository, package, scrub_values(detail), "shell")
        await self.audit.append([entry])


def group(help_: str = "") -> typer.Typer:
    """A group of commands, or without a help text some of another group's."""
    return typer.Typer(
        help=help_,
        short_help=help_,  # whole, in the overview too
        no_args_is_help=True,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,  # a bug's trace is for a report: plain, and without the values of variables
    )


def command(app: typer.Typer, name: str) -> Callable[[Work], Work]:
    """Register a function as a command, with `--config` and `--data`.

    Its first parameter says what it works on: a `Data` is opened before and closed after it, a `Config` only read.
    The other parameters are Typer's; `**given: Unpack[T]` stands for an optional one for each key of the TypedDict.
    It may be a coroutine function. An int that it returns is the exit code.
    """

    def register(work: Work) -> Work:
        hints = get_type_hints(work, include_extras=True)
        first, *others = inspect.signature(work).parameters.values()
        opens = hints[first.name] is Data
        named = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            *(each for parameter in others for each in _typers(parameter, hints[parameter.name])),
            inspect.Parameter("config_file", named, default=None, annotation=_ConfigOption),
            inspect.Parameter("data_folder", named, default=None, annotation=_DataOption),
        ]

        @functools.wraps(work)
        def call(*, config_file: Path | None, data_folder: Path | None, **arguments: Any) -> None:
            config = functools.partial(read_config, config_file, data_folder)
            opening = functools.partial(open_data, begins=name in _BEGINNING) if opens else None
            _exit(lambda: _run(work, opening, config(), arguments))

        del call.__wrapped__
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # where Typer looks
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, short_help=(work.__doc__ or "").partition("\n")[0])(call)
        return work

    return register


def _typers(parameter: inspect.Parameter, hint: Any) -> list[inspect.Parameter]:
    """What Typer shall see of a command's parameter."""
    named = inspect.Parameter.KEYWORD_ONLY
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
        return [parameter.replace(annotation=hint, kind=named)]
    options = get_type_hints(get_args(hint)[0], include_extras=True)
    return [inspect.Parameter(name, named, default=None, annotation=option) for name, option in options.items()]


def read_config(file: Path | None, data: Path | None) -> Config:
    """The configuration of this call; raises ConfigInvalid."""
    named = os.environ.get(CONFIG_VARIABLE)
    config = configuration.load(file or (Path(named) if named else None))
    return config if data is None else replace(config, data=data)


def require_catalogue(config: Config) -> None:
    """Raise Invalid where nothing has been begun yet: the folder is another one than was meant."""
    if not (config.data / CATALOGUE).exists():
        raise Invalid(f"{config.data}: there is no catalogue here: `serve` begins one, and so does `user create`")


def open_data(config: Config, *, begins: bool) -> Data:
    """Open the data folder; one that begins it creates folder and catalogue if needed, for others that is Invalid."""
    if not begins:
        require_catalogue(config)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(config.data / CATALOGUE)
    database.migrate()
    return Data(config, database)


def shell_user() -> str:
    """Who the audit says it was: `shell:NAME`."""
    name = str(os.geteuid())
    with suppress(KeyError, ImportError):
        import pwd  # noqa: PLC0415 there is none in a system without a user database

        name = pwd.getpwuid(os.geteuid()).pw_name
    return f"shell:{name}"


def _run(
    work: Callable[..., Any], opening: Callable[[Config], Data] | None, config: Config, arguments: dict[str, Any]
) -> int | None:
    if opening is None:
        return _result(work(config, **arguments))
    data = opening(config)
    try:
        return _result(work(data, **arguments))
    finally:
        data.database.close()


def _result(outcome: Any) -> int | None:
    if inspect.iscoroutine(outcome):
        outcome = asyncio.run(outcome)
    return outcome if isinstance(outcome, int) else None


def _exit(work: Callable[[], int | None]) -> None:
    """Run a command; an error becomes one line and an exit code."""
    try:
        code = work()
        hand_over()
    except GatewayError as error:
        complain(error.message)
        raise typer.Exit(2 if isinstance(error, Invalid) else 1) from error
    except BrokenPipeError:
        raise  # who reads our output has enough, as `head` has; Typer ends quietly
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        raise typer.Exit(1) from error
    if code:
        raise typer.Exit(code)
