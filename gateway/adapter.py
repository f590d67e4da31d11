"""What an ecosystem's adapter hands to the core: one value, found by the entry-point group `gateway.adapters`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gateway.errors import Unauthenticated
from gateway.format import Format
from gateway.model import Repository, RepositoryKey, Scope

if TYPE_CHECKING:
    from gateway.prefetch import Prefetch
    from gateway.web.answers import Answer
    from gateway.web.call import Call, HostCall


CODE_HEADER = "OTP"


class Route(Struct, frozen=True):
    """One method and path below a repository, the handler, and the scope that it needs.

    pattern: segments separated by `/`; `{name}` matches one segment, `{name:regex}` one segment of that form,
    `{name*}` the rest of the path. A GET route answers HEAD as well. scope None: the handler needs no right on the
    repository (ping, login); it is still listed.
    """

    method: str
    pattern: str
    handler: "Callable[[Call], Awaitable[Answer]]"
    scope: Scope | None = Scope.READ


class HostRoute(Struct, frozen=True):
    """One method and path at the root of the host that belongs to no repository; patterns as for `Route`.

    stands_in: it also answers below a repository that is not there, so that nobody learns which ones are.
    """

    method: str
    pattern: str
    handler: "Callable[[HostCall], Awaitable[Answer]]"
    stands_in: bool = False


class Place(Struct, frozen=True):
    """Where an address at the root of the host leads: to a repository, or for None to the host's own routes.

    rest: the raw path below the repository, as if it had come by the repository's own address. outer: what stands for
    its beginning `inner` in addresses that the client is told.
    """

    key: RepositoryKey | None
    rest: str
    inner: str = ""
    outer: str = ""


class Challenged(Struct, frozen=True):
    """A request that was answered 401. root, base: our external addresses; base is empty outside of a repository.

    rest: the decoded path below the repository. place: how it was found, None by the repository's own address.
    """

    method: str
    root: str
    base: str
    rest: str
    key: RepositoryKey | None
    place: Place | None
    query: Mapping[str, str]
    error: Unauthenticated


Locate = Callable[[str, Mapping[str, str], Iterable[Repository]], Place | None]
"""Raw path, query and all repositories of the type → the place, or None for an address that leads nowhere."""


class SnippetContext(Struct, frozen=True):
    """What a client's configuration needs to know: the repository's address, with slash, and its own words."""

    base: str
    host: str
    owner: str
    repository: str
    is_anonymous: bool


class Adapter(Struct, frozen=True):
    """One ecosystem. `routes` are below a repository.

    upstream: name of the preset that the ready repository `local/main` falls through to.
    normalize_path: undoes an encoding that this ecosystem's clients really send (npm's `%2f` in a scope) in a raw,
    still percent-encoded path; whatever is left over is refused. challenge: the `WWW-Authenticate` scheme.
    challenge_for: makes the whole challenge instead. claims: what paths at the root of the host begin with (one whole
    segment or more) that are this adapter's, led on by `locate` and `host_routes`. signs_in: paths below a repository
    whose handlers read credentials themselves. code_header: where this ecosystem's clients put a one-time code.
    hides_by_403: a repository that is not there is refused as one that the actor may not read.
    prefetch: pattern of a file's name → how what it wants is fetched.
    snippets: client name → configuration to paste. hides_by_404: an actor without a grant is told "unknown" for names
    that it may not see, since its clients do not fall through on 404.
    """

    type: str
    format: Format
    routes: tuple[Route, ...]
    upstream: str
    title: str
    aliases: tuple[str, ...] = ()
    challenge: str = "Basic"
    normalize_path: Callable[[str], str] = str
    snippets: Mapping[str, Callable[[SnippetContext], str]] = field(default_factory=dict)
    prefetch: "Mapping[str, Prefetch]" = field(default_factory=dict)
    hides_by_404: bool = False
    hides_by_403: bool = False
    challenge_for: Callable[[Challenged], str] | None = None
    claims: tuple[str, ...] = ()
    locate: Locate | None = None
    host_routes: tuple[HostRoute, ...] = ()
    signs_in: frozenset[str] = frozenset()
    code_header: str = CODE_HEADER


def load_adapters() -> tuple[Adapter, ...]:
    """Every installed adapter, in the order of their types."""
    found = [point.load() for point in entry_points(group="gateway.adapters")]
    return tuple(sorted(found, key=lambda adapter: str(adapter.type)))
