"""Where an address at the root of the host leads (`/v2/…`, `/token`). Pure.

`/v2/<type>/<owner>/<repository>/<image>/…` names its repository. An image without those three is one of another
registry, which the client names as `?ns=` (distribution-spec, "Registry Proxying"): a repository that lists it among
its `namespaces` answers. It is never an address to go to.
"""

import re
from collections.abc import Iterable, Mapping

from adapters.container.names import ALIASES, TYPE
from gateway.adapter import Place
from gateway.model import Repository, RepositoryKey
from gateway.upstream.presets import NAMESPACES

_TYPES = frozenset({TYPE, *ALIASES})
_CALL = re.compile(r".+/(?:manifests/[^/]+|blobs/[^/]+|blobs/uploads/?[^/]*|tags/list|referrers/[^/]+)\Z")
_OF_THE_HOST = {
    "token": "token",
    "v2": "v2/",
    "v2/": "v2/",
    "v2/token": "token",
    "v2/_catalog": "v2/_catalog",
}


def locate(raw: str, query: Mapping[str, str], repositories: Iterable[Repository]) -> Place | None:
    """The place that this path means, or None."""
    path = raw[1:]
    if path in _OF_THE_HOST:
        return Place(None, _OF_THE_HOST[path])
    first, _, rest = path.partition("/")
    if first != "v2":
        return None
    known = list(repositories)
    named = _named(rest)
    asked = namespace(query)
    if named is not None and (asked is None or any(one.key == named.key for one in known)):
        return named
    if asked is None or not _CALL.match(rest):
        return named
    return next((_standing_in(one, rest) for one in known if asked in namespaces(one)), None)


def namespaces(repository: Repository) -> frozenset[str]:
    """The registries that a repository stands in for."""
    listed = repository.settings.get("namespaces")
    return frozenset(_canonical(str(one)) for one in listed) if isinstance(listed, list | tuple) else frozenset()


def namespace(query: Mapping[str, str]) -> str | None:
    """The registry that the client wants, in its one spelling, or None."""
    asked = query.get("ns")
    return _canonical(asked) if asked else None


def _canonical(host: str) -> str:
    host = host.lower()
    return NAMESPACES.get(host, host)


def _named(rest: str) -> Place | None:
    """`<type>/<owner>/<repository>/<image>/…`."""
    parts = rest.split("/", 3)
    if len(parts) < 4 or parts[0] not in _TYPES or not _CALL.match(parts[3]):
        return None
    key = RepositoryKey.checked(TYPE, parts[1], parts[2])
    return Place(key, f"v2/{parts[3]}", "v2/", f"v2/{parts[0]}/{parts[1]}/{parts[2]}/")


def _standing_in(repository: Repository, rest: str) -> Place:
    return Place(repository.key, f"v2/{rest}", "v2/", "v2/")
