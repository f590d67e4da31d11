"""What a repository made or changed through the API must keep to. Pure.

Only administrators name hosts, since a host name can be that of somebody else's repository or our own, and only they
put an upstream with credentials into a repository, since it would show its packages to whoever may read there.
"""

import re
from collections.abc import Callable, Collection, Mapping

from gateway.adjusting import check_settings
from gateway.config import RepositoryConfig
from gateway.errors import Conflict, Forbidden, GatewayError, Invalid
from gateway.format import Format
from gateway.model import HOSTED_LAYER, Repository, RepositoryKey
from gateway.upstream.registry import Upstream

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)?(?::[0-9]{1,5})?\Z")


def check_new(
    key: RepositoryKey,
    wanted: RepositoryConfig,
    known: RepositoryConfig,
    *,
    is_admin: bool,
    format_: Format,
    upstreams: Mapping[str, Upstream],
    find: Callable[[RepositoryKey], Repository | None],
) -> None:
    """Raise Invalid or Forbidden unless `wanted` may take the place of `known`.

    find: the repository of a key, if the actor may read it.
    """
    for layer in wanted.layers:
        if layer not in known.layers:
            _check_layer(key, layer, is_admin=is_admin, upstreams=upstreams, find=find)
    if not wanted.layers or len(set(wanted.layers)) != len(wanted.layers):
        raise Invalid("layers: expected at least one, and each of them once")
    for name, patterns in (("reserve", wanted.reserve), ("merge", wanted.merge)):
        for pattern in patterns:
            _check_pattern(name, pattern, format_)
    check_settings(wanted.settings, format_)
    added = set(wanted.hosts) - set(known.hosts)
    if added and not is_admin:
        raise Forbidden("hosts: only administrators give a repository a host name")
    for host in added:
        if not host or not _HOST.match(host):
            raise Invalid(f"hosts: not a host name in lower case: {host[:80]!r}")


def check_hosts(hosts: Collection[str], key: RepositoryKey, others: Collection[Repository]) -> None:
    """Raise Conflict for a host name that serves another repository."""
    for other in others:
        if other.key != key and (taken := set(hosts) & {host.lower() for host in other.hosts}):
            raise Conflict(f"hosts: {min(taken)} serves {other.key}")


def _check_layer(
    key: RepositoryKey,
    layer: str,
    *,
    is_admin: bool,
    upstreams: Mapping[str, Upstream],
    find: Callable[[RepositoryKey], Repository | None],
) -> None:
    if layer == HOSTED_LAYER:
        return
    if "/" in layer:
        member = RepositoryKey.parse(f"{key.type}/{layer}")
        if member == key or find(member) is None:
            raise Invalid(f"layers: there is no other {key.type} repository {layer[:200]}")
        return
    upstream = upstreams.get(layer)
    if upstream is None or upstream.type != key.type:
        fitting = sorted(name for name, known in upstreams.items() if known.type == key.type)
        raise Invalid(f"layers: no {key.type} upstream {layer[:80]!r} (known: {', '.join(fitting)})")
    if upstream.authorization() is not None and not is_admin:
        raise Forbidden(f"layers: {layer} is asked with credentials, so only administrators may add it")


def _check_pattern(name: str, pattern: str, format_: Format) -> None:
    """A pattern is compared with canonical names, so one that is not written canonically would protect nothing."""
    sample = pattern.replace("*", "x")
    if not pattern or not pattern.isprintable():
        raise Invalid(f"{name}: not a pattern: {pattern[:80]!r}")
    try:
        canonical = format_.normalize(sample)
    except GatewayError:
        canonical = sample
    if canonical != sample:
        raise Invalid(f"{name}: {pattern[:80]!r} is not canonical, so it would match no package")
