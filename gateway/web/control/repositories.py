"""Handlers of the control API: repositories and their packages."""

from typing import Any

from msgspec import UNSET

from gateway.auth.access import require_proof
from gateway.config import RepositoryConfig
from gateway.errors import AlreadyExists, Conflict, Forbidden, Invalid, PackageUnknown, RepositoryUnknown
from gateway.model import HOSTED_LAYER, ActorKind, OwnerMode, Repository, RepositoryKey, Scope
from gateway.store.rows import Edit
from gateway.web.control import schemas
from gateway.web.control.call import AdminCall
from gateway.web.control.repository_rules import check_hosts, check_new

_BY_FILE = "config"
_BY_API = "api"


async def repositories(call: AdminCall) -> list[schemas.RepositoryView]:
    """The repositories in which one may read something; with `owner` or `type`, only those."""
    owner, type_ = call.query.get("owner"), call.query.get("type")
    sources = call.services.repositories.sources()
    return [
        _view(row, sources.get(row.key, ""))
        for row in call.services.repositories.all()
        if owner in {None, row.key.owner} and type_ in {None, row.key.type} and call.may(Scope.READ, row)
    ]


async def repository(call: AdminCall) -> schemas.RepositoryView:
    """One repository."""
    found = call.repository()
    return _view(found, _source(call, found))


async def create_repository(call: AdminCall) -> schemas.RepositoryView:
    """Create a repository below a name that one owns."""
    body, services = call.expect(schemas.NewRepository), call.services
    if body.type not in services.formats:
        raise Invalid(f"type: expected one of {', '.join(sorted(services.formats))}")
    key = RepositoryKey.checked(body.type, body.owner, body.name)
    if not call.may(Scope.ADMIN, Repository(0, key)):
        require_proof(call.actor, Scope.ADMIN)
        raise Forbidden(f"{call.actor.name} does not manage {key.owner}, or its token has no admin scope")
    _require_owner_exists(call, key.owner)
    if services.repositories.get(key) is not None:
        raise AlreadyExists(f"there is a repository {key} already")
    wanted = RepositoryConfig(body.layers, body.visibility, body.reserve, body.merge, body.hosts, body.settings)
    _check(call, key, wanted, RepositoryConfig(layers=()))
    made = await services.repositories.upsert(key, wanted, _BY_API)
    await call.accounts.note("repository.create", str(key), visibility=str(made.visibility), layers=list(made.layers))
    return _view(made, _BY_API)


async def update_repository(call: AdminCall) -> schemas.RepositoryView:
    """Change a repository that is not defined in the configuration file."""
    found, body = call.repository(Scope.ADMIN), call.expect(schemas.RepositoryChange)
    _require_ours(call, found)
    known = _config(found)
    given: dict[str, Any] = {
        name: value
        for name in ("layers", "visibility", "reserve", "merge", "hosts", "settings")
        if (value := getattr(body, name)) is not UNSET
    }
    wanted = RepositoryConfig(**({name: getattr(known, name) for name in known.__slots__} | given))
    _check(call, found.key, wanted, known)
    changed = await call.services.repositories.upsert(found.key, wanted, _BY_API)
    await call.accounts.note(
        "repository.update", str(found.key), changed=sorted(given), visibility=str(changed.visibility)
    )
    return _view(changed, _BY_API)


async def delete_repository(call: AdminCall) -> None:
    """Delete a repository without published files."""
    found = call.repository(Scope.ADMIN)
    _require_ours(call, found)
    await call.services.repositories.remove(found.key)
    await call.accounts.note("repository.delete", str(found.key))


# ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def packages(call: AdminCall) -> list[schemas.PackageView]:
    """The packages of a repository that one may read: published, claimed, or served from an upstream before."""
    found = call.repository()
    return [
        schemas.PackageView(
            row.name,
            row.owner_mode,
            row.origin,
            row.is_restricted,
            row.versions,
            row.files,
            row.bytes,
            row.latest_upload,
        )
        for row in await call.services.packages.summary(found.id)
        if call.may(Scope.READ, found, row.name, restricted=row.is_restricted)
    ]


async def set_ownership(call: AdminCall) -> None:
    """Claim a package's name for this repository, or give it back."""
    found, package = _package(call, Scope.ADMIN)
    mode = call.expect(schemas.Ownership).mode
    if mode == "released":
        await call.services.packages.release(found.id, package)
    elif HOSTED_LAYER in found.layers:
        await call.services.packages.claim(found.id, package)
    else:
        raise Conflict(f"{found.key} has no hosted layer")
    await call.accounts.note("package.claim" if mode == "hosted" else "package.release", str(found.key), package)


async def set_restriction(call: AdminCall) -> None:
    """Let only grants that name the package count, or let the repository's rules count again."""
    found, package = _package(call, Scope.ADMIN)
    flag = call.expect(schemas.Restriction).is_restricted
    has_upstream = any(layer in call.services.upstreams for layer in found.layers)
    mode = OwnerMode.UPSTREAM if has_upstream and not found.is_reserved(package) else OwnerMode.HOSTED
    await call.services.packages.set_restricted(found.id, package, flag, owner_mode=mode if flag else None)
    await call.accounts.note("package.restrict" if flag else "package.open", str(found.key), package)


async def delete_package(call: AdminCall) -> None:
    """Delete everything published under a name; the name stays ours, and the file names are never used again."""
    found, package = _package(call, Scope.DELETE)
    await call.services.packages.edit(found.id, package, Edit(delete_package=True))
    await call.accounts.note("package.delete", str(found.key), package)


def _package(call: AdminCall, scope: Scope) -> tuple[Repository, str]:
    """The repository and canonical package of the path; PackageUnknown where one may not read it."""
    found, package = call.repository(), call.package()
    row = call.services.packages.get(found.id, package)
    restricted = row is not None and row.is_restricted
    if not call.may(Scope.READ, found, package, restricted=restricted):
        raise PackageUnknown(f"there is no package {package} in {found.key}")
    if not call.may(scope, found, package, restricted=restricted):
        require_proof(call.actor, scope)
        raise Forbidden(f"{call.actor.name} has no {scope} on {package} in {found.key}")
    return found, package


def _check(call: AdminCall, key: RepositoryKey, wanted: RepositoryConfig, known: RepositoryConfig) -> None:
    services = call.services

    def find(member: RepositoryKey) -> Repository | None:
        found = services.repositories.get(member)
        return found if found is not None and call.may(Scope.READ, found) else None

    check_new(
        key,
        wanted,
        known,
        is_admin=call.accounts.is_admin,
        format_=services.formats[key.type],
        upstreams=services.upstreams,
        find=find,
    )
    check_hosts(wanted.hosts, key, services.repositories.all())


def _require_owner_exists(call: AdminCall, owner: str) -> None:
    identities = call.services.identities
    row = identities.actor_by_name(owner)
    if identities.organisation(owner) is None and (row is None or row.kind is not ActorKind.USER):
        raise RepositoryUnknown(f"there is no user or organisation {owner}")


def _require_ours(call: AdminCall, found: Repository) -> None:
    if _source(call, found) == _BY_FILE:
        raise Conflict(f"{found.key} is defined in the configuration file: change it there")


def _source(call: AdminCall, found: Repository) -> str:
    return call.services.repositories.sources().get(found.key, "")


def _config(found: Repository) -> RepositoryConfig:
    return RepositoryConfig(
        found.layers, found.visibility, found.reserve, found.merge, found.hosts, dict(found.settings)
    )


def _view(row: Repository, source: str) -> schemas.RepositoryView:
    key = row.key
    return schemas.RepositoryView(
        key.type,
        key.owner,
        key.name,
        row.layers,
        row.visibility,
        row.reserve,
        row.merge,
        row.hosts,
        dict(row.settings),
        source,
    )
