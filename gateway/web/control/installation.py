"""Handlers of the control API: audit, upstreams and cache."""

from gateway.errors import Forbidden, Invalid
from gateway.model import RepositoryKey, Scope
from gateway.web.control import schemas
from gateway.web.control.call import AdminCall

_MOST = 1000


async def audit(call: AdminCall) -> list[schemas.AuditView]:
    """What was done, newest first. Administrators see all; who administers a `repository`, what concerns it."""
    repository = call.query.get("repository")
    if not call.accounts.is_admin:
        _require_administers(call, repository)
    limit = call.asked_number("limit", 100) or 0
    if not 1 <= limit <= _MOST:
        raise Invalid(f"limit: expected 1 to {_MOST}")
    rows = await call.services.audit.list(
        limit,
        call.asked_number("before"),
        actor=call.query.get("actor"),
        action=call.query.get("action"),
        repository=repository,
        package=call.query.get("package"),
    )
    return [
        schemas.AuditView(
            row.id,
            row.at,
            row.actor,
            row.action,
            row.repository,
            row.package,
            dict(row.detail),
            row.address,
            row.request_id,
        )
        for row in rows
    ]


async def upstreams(call: AdminCall) -> list[schemas.HealthView]:
    """How the upstreams are."""
    call.accounts.require_admin()
    return [
        schemas.HealthView(
            row.name,
            row.host,
            str(row.state),
            row.failures,
            row.opened_until,
            row.last_ok,
            row.last_error,
            row.requests,
            row.bytes,
        )
        for row in call.services.upstream_client.health()
    ]


async def cache(call: AdminCall) -> list[schemas.CacheView]:
    """What the cache holds, by repository."""
    call.accounts.require_admin()
    names = {row.id: str(row.key) for row in call.services.repositories.all()}
    return [
        schemas.CacheView(names[id_], size, files)
        for id_, size, files in await call.services.blob_rows.cache_sizes()
        if id_ in names
    ]


async def purge(call: AdminCall) -> schemas.Purged:
    """Forget upstreams' documents, so that the next request asks again; files stay, since they cannot change."""
    call.accounts.require_admin()
    upstream = call.expect(schemas.Purge).upstream
    if upstream is not None and upstream not in call.services.upstreams:
        raise Invalid(f"upstream: expected one of {', '.join(sorted(call.services.upstreams))}")
    documents = await call.services.documents.purge(upstream)
    await call.accounts.note("cache.purge", upstream=upstream, documents=documents)
    return schemas.Purged(documents)


def _require_administers(call: AdminCall, repository: str | None) -> None:
    found = None
    if repository is not None:
        found = call.services.repositories.get(RepositoryKey.parse(repository))
    if found is None or not call.may(Scope.ADMIN, found):
        raise Forbidden("the audit is for administrators; others give a repository that they administer")
