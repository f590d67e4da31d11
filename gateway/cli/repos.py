"""`entrepot repo`: repositories that are not in the configuration file, and a look at all of them.

The configuration file speaks for its own repositories: they are changed there, so that a restart undoes nothing.
"""

from dataclasses import replace
from typing import Annotated, Any, TypedDict, Unpack

import typer
import yaml

from gateway.adapter import load_adapters
from gateway.cli import lookups
from gateway.cli.frame import Data, command, group
from gateway.cli.output import confirm, facts, remark, size, table
from gateway.compose import check_repository
from gateway.config import RepositoryConfig
from gateway.errors import AlreadyExists, Conflict, Invalid
from gateway.model import HOSTED_LAYER, OwnerMode, Repository, RepositoryKey, Visibility

app = group("Repositories, written as type/owner/repository.")

_Key = Annotated[str, typer.Argument(metavar="TYPE/OWNER/REPOSITORY")]

_List = list[str] | None


class _Given(TypedDict):
    """What `create` and `update` take; None where it was not given."""

    layer: Annotated[
        _List,
        typer.Option(
            metavar="LAYER", help="In order: hosted, an upstream, or owner/repository of a member; more than once."
        ),
    ]
    visibility: Annotated[str | None, typer.Option(metavar="VISIBILITY", help="public, internal or private.")]
    reserve: Annotated[_List, typer.Option(metavar="PATTERN", help="Names that are hosted before their first publish.")]
    merge: Annotated[
        _List, typer.Option(metavar="PATTERN", help="Names whose hosted and upstream versions are merged.")
    ]
    host: Annotated[_List, typer.Option(metavar="HOST", help="A host name that serves it from its root.")]
    setting: Annotated[_List, typer.Option(metavar="KEY=VALUE", help="An option of the adapter, such as strict=true.")]


@command(app, "create")
async def create(data: Data, name: _Key, **given: Unpack[_Given]) -> None:
    """Create a repository: hosted and private unless told otherwise."""
    key = lookups.repository_key(load_adapters(), name)
    if data.repositories.get(key) is not None:
        raise AlreadyExists(f"there is a repository {key} already")
    await _write(data, key, _changed(RepositoryConfig(), given), "repository.create")
    remark(f"created repository {key}")


@command(app, "update")
async def update(data: Data, name: _Key, **given: Unpack[_Given]) -> None:
    """Change a repository: what is given replaces what was there."""
    repository = lookups.repository(data, load_adapters(), name)
    _refuse_configured(data, repository)
    await _write(data, repository.key, _changed(_config_of(repository), given), "repository.update")
    remark(f"changed repository {repository.key}")


@command(app, "list")
async def list_all(data: Data) -> None:
    """List repositories."""
    sources = data.repositories.sources()
    table(
        ("REPOSITORY", "VISIBILITY", "LAYERS", "FROM"),
        (
            (repository.key, repository.visibility, " ".join(repository.layers), sources.get(repository.key))
            for repository in data.repositories.all()
        ),
    )


@command(app, "show")
async def show(data: Data, name: _Key) -> None:
    """Show a repository's settings and packages."""
    repository = lookups.repository(data, load_adapters(), name)
    facts(
        (
            ("repository", repository.key),
            ("visibility", repository.visibility),
            ("layers", repository.layers),
            ("reserve", repository.reserve),
            ("merge", repository.merge),
            ("hosts", repository.hosts),
            ("settings", tuple(f"{key}={value}" for key, value in repository.settings.items())),
            ("from", data.repositories.sources().get(repository.key)),
        )
    )
    table(
        ("PACKAGE", "OWNER", "VERSIONS", "FILES", "SIZE", "LATEST"),
        (
            (
                row.name,
                row.owner_mode if row.owner_mode is not OwnerMode.UPSTREAM else f"upstream {row.origin}",
                row.versions,
                row.files,
                size(row.bytes),
                row.latest_upload,
            )
            for row in await data.packages.summary(repository.id)
        ),
    )


@command(app, "delete")
async def delete(
    data: Data,
    name: _Key,
    with_packages: Annotated[bool, typer.Option("--with-packages", help="Even if something is published.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a repository; its blobs go with the next `gc`."""
    repository = lookups.repository(data, load_adapters(), name)
    _refuse_configured(data, repository)
    if with_packages and not yes:
        confirm(f"Delete {repository.key} with everything published there?")
    await data.repositories.remove(repository.key, with_packages=with_packages)
    await data.note("repository.delete", str(repository.key), with_packages=with_packages)
    remark(f"deleted repository {repository.key}")


async def _write(data: Data, key: RepositoryKey, config: RepositoryConfig, action: str) -> None:
    keys = {repository.key for repository in data.repositories.all()} - {key}
    known = {f"{other.owner}/{other.name}" for other in keys if other.type == key.type}
    check_repository(data.config, load_adapters(), key, config, known)
    await data.repositories.upsert(key, config, "api")
    await data.note(action, str(key), layers=list(config.layers), visibility=str(config.visibility))


def _changed(config: RepositoryConfig, given: _Given) -> RepositoryConfig:
    """The configuration with what was given on the command line."""
    visibility, settings = given["visibility"], given["setting"]
    if visibility is not None and visibility not in set(Visibility):
        raise Invalid(f"--visibility: expected {', '.join(Visibility)}, got {visibility!r}")
    lists = {"layers": given["layer"], "reserve": given["reserve"], "merge": given["merge"], "hosts": given["host"]}
    changes: dict[str, Any] = {name: tuple(value) for name, value in lists.items() if value is not None}
    if settings is not None:
        changes["settings"] = dict(_setting(text) for text in settings)
    if visibility is not None:
        changes["visibility"] = Visibility(visibility)
    return replace(config, **changes)


def _setting(text: str) -> tuple[str, Any]:
    """`key=value`, the value as YAML reads it: `true`, `3`, a text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Invalid(f"--setting: expected key=value, got {text[:80]!r}")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise Invalid(f"--setting {key}: not a value") from error


def _config_of(repository: Repository) -> RepositoryConfig:
    return RepositoryConfig(
        layers=repository.layers or (HOSTED_LAYER,),
        visibility=repository.visibility,
        reserve=repository.reserve,
        merge=repository.merge,
        hosts=repository.hosts,
        settings=repository.settings,
    )


def _refuse_configured(data: Data, repository: Repository) -> None:
    if data.repositories.sources().get(repository.key) == "config":
        raise Conflict(f"{repository.key} is set in the configuration file: change it there")
