"""What a repository made or changed through the API must keep to. Pure.

Only administrators name hosts, since a host name can be that of somebody else's repository or our own, and only they
put an upstream with credentials into a repository, since it would show its packages to whoever may read there.
"""

import re
from collections.abc import Callable, Collection, Mapping

from gateway.config import RepositoryConfig
from gateway.errors import Conflict, Forbidden, Invalid
from gateway.format import Format
from gateway.model import Repository, RepositoryKey
from gateway.upstream.registry import Upstream
from gateway.wanted import check

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

    def is_there(member: str) -> bool:
        other = RepositoryKey.parse(f"{key.type}/{member}")
        if other == key:
            raise Invalid("layers: a repository is no layer of itself")
        return find(other) is not None

    check(key.type, wanted, format_, upstreams, is_there, kept=known.layers)
    if len(set(wanted.layers)) != len(wanted.layers):
        raise Invalid("layers: expected each of them once")
    for layer in set(wanted.layers) - set(known.layers):
        if not is_admin and layer in upstreams and upstreams[layer].authorization() is not None:
            raise Forbidden(f"layers: {layer} is asked with credentials, so only administrators may add it")
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
