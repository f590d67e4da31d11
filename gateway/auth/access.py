"""Who may do what: the one place that decides. Pure: rows and nouns in, a verdict out; no clock, no I/O.

The effective right is the token's narrowing ∩ what its actor holds. An actor holds, in one repository:

| through | read | write | delete | admin |
|---|---|---|---|---|
| administrator of the installation, owner of the name, owner of the organisation | × | × | × | × |
| member of the organisation | × | | | |
| public repository (everybody), internal repository (whoever signed in) | × | | | |
| a grant's role `read` · `write` · `delete` · `admin` | all four | × | × | × |

Write and delete imply read; delete is never implied by write. Who has a second factor holds no more than it has proved:
see `Assurance`. A *restricted* package ignores all of it, except the
repository's administrators and grants that name the package with a pattern of its own (not merely `*`).
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gateway.errors import CodeRequired, Invalid
from gateway.model import (
    Actor,
    ActorKind,
    Assurance,
    Repository,
    RepositoryKey,
    Scope,
    TokenLimits,
    Visibility,
    matches,
)
from gateway.store.rows import GrantRow, Rights

ROLES = {
    "read": frozenset({Scope.READ}),
    "write": frozenset({Scope.READ, Scope.WRITE}),
    "delete": frozenset({Scope.READ, Scope.DELETE}),
    "admin": frozenset(Scope),
}
_NOTHING: frozenset[Scope] = frozenset()
_READ = ROLES["read"]
_ALL = ROLES["admin"]


def decide(
    rights: Rights,
    actor: Actor,
    repository: Repository,
    package: str | None,
    scope: Scope,
    *,
    restricted: bool = False,
    now: float,
) -> bool:
    """Whether the actor may do this to the package (canonical name) of the repository.

    package None asks about the repository itself: READ means "may see that it exists and read something in it", so a
    right on a single package suffices and each package must still be asked for; other scopes need the whole repository.
    now: POSIX seconds.
    """
    return scope in effective_scopes(rights, actor, repository, package, restricted=restricted, now=now)


def effective_scopes(
    rights: Rights, actor: Actor, repository: Repository, package: str | None, *, restricted: bool = False, now: float
) -> frozenset[Scope]:
    """All scopes that `decide` would allow."""
    held = held_scopes(rights, actor, repository, package, restricted=restricted)
    if actor.assurance < Assurance.SESSION:
        held = frozenset(scope for scope in held if is_proved(actor, scope))
    if not held or actor.token is None:
        return held
    return held & token_scopes(actor.token, actor.address, repository.key, package, now=now)


def held_scopes(
    rights: Rights, actor: Actor, repository: Repository, package: str | None, *, restricted: bool = False
) -> frozenset[Scope]:
    """What the actor holds before its token narrows it."""
    if may_own(rights, actor, repository.key.owner):
        return _ALL
    grants = [grant for grant in rights.grants if _applies(grant, actor, repository.key, package)]
    named = [grant for grant in grants if not is_any(grant.package)]
    whole = _scopes_of(grant for grant in grants if is_any(grant.package))
    if restricted:
        return _ALL if Scope.ADMIN in whole else _scopes_of(named)
    seen = _visible_scopes(rights, actor, repository)
    if package is None:
        return seen | whole | (_READ if named else _NOTHING)
    return seen | whole | _scopes_of(named)


def may_own(rights: Rights, actor: Actor, owner: str) -> bool:
    """Whether the actor owns everything below `<type>/<owner>/`, before its token narrows it."""
    if actor.is_anonymous:
        return False
    if rights.is_admin or rights.organisations.get(owner) == "owner":
        return True
    return actor.kind is ActorKind.USER and actor.name == owner


def token_scopes(
    token: TokenLimits, address: str, key: RepositoryKey, package: str | None, *, now: float
) -> frozenset[Scope]:
    """The scopes that a token leaves its actor in one repository, with what they imply."""
    if not is_alive(token, address, now=now):
        return _NOTHING
    if token.repositories and not any(repository_matches(pattern, key) for pattern in token.repositories):
        return _NOTHING
    scopes = implied(token.scopes)
    if not token.packages:
        return scopes
    if package is None:
        return scopes & _READ
    return scopes if any(matches(pattern, package) for pattern in token.packages) else _NOTHING


def token_allows(actor: Actor, scope: Scope, *, now: float) -> bool:
    """Whether the actor's token lets it do what is not about one repository (accounts, tokens, other people).

    A token narrowed to repositories or packages never does; no token (a password or a session) always does.
    """
    token = actor.token
    if not is_proved(actor, scope):
        return False
    if token is None:
        return True
    return (
        is_alive(token, actor.address, now=now)
        and not token.repositories
        and not token.packages
        and token.asked is None
        and scope in implied(token.scopes)
    )


def is_proved(actor: Actor, scope: Scope) -> bool:
    """Whether the actor's second factor, if it has one, stands behind this."""
    if scope is Scope.READ:
        return True
    return actor.assurance >= (Assurance.SESSION if scope is Scope.ADMIN else Assurance.WRITES)


def require_proof(actor: Actor, scope: Scope) -> None:
    """Raise CodeRequired unless the actor's second factor, if it has one, stands behind this."""
    if not is_proved(actor, scope):
        raise CodeRequired("this account needs a one-time code for this: send one, or use an automation token")


def is_alive(token: TokenLimits, address: str, *, now: float) -> bool:
    """Whether the token has not expired and is used from one of its networks."""
    if token.expires_at is not None and token.expires_at <= now:
        return False
    return not token.cidrs or any(is_within(address, cidr) for cidr in token.cidrs)


def implied(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """These scopes and those that they include."""
    found = frozenset(scopes)
    if Scope.ADMIN in found:
        return _ALL
    return found | _READ if found & {Scope.WRITE, Scope.DELETE} else found


def is_any(pattern: str) -> bool:
    """Whether a package pattern names no package in particular: `*`, or another word for it."""
    return not pattern.strip("*?")


def repository_matches(pattern: str, key: RepositoryKey) -> bool:
    """Whether a pattern (`*`, or `type/owner/name` with wildcards that stay within their segment) covers the key."""
    if pattern == "*":
        return True
    parts = pattern.split("/")
    if len(parts) != 3:
        return False
    return all(matches(part, value) for part, value in zip(parts, (key.type, key.owner, key.name), strict=True))


def is_within(address: str, cidr: str) -> bool:
    """Whether a client address lies in a network; anything unreadable lies nowhere. `::ffff:a.b.c.d` is IPv4."""
    network = _network(cidr)
    if network is None:
        return False
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found in network


def check_cidr(text: str) -> str:
    """The network in its usual spelling; raises Invalid."""
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError as error:
        raise Invalid(f"not a network: {text[:80]!r}") from error


@lru_cache(maxsize=1024)
def _network(cidr: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        return None


def _applies(grant: GrantRow, actor: Actor, key: RepositoryKey, package: str | None) -> bool:
    """Whether a grant is the actor's, covers the repository and the package (any, for None) and this network."""
    if actor.is_anonymous and grant.subject_kind != "anonymous":
        return False
    if not repository_matches(grant.repository, key):
        return False
    if package is not None and not matches(grant.package, package):
        return False
    return grant.cidr is None or is_within(actor.address, grant.cidr)


def _scopes_of(grants: Iterable[GrantRow]) -> frozenset[Scope]:
    """What these grants give together; a role that we do not know gives nothing."""
    return _NOTHING.union(*(ROLES.get(grant.role, _NOTHING) for grant in grants))


def _visible_scopes(rights: Rights, actor: Actor, repository: Repository) -> frozenset[Scope]:
    """What membership and the repository's visibility give."""
    if repository.visibility is Visibility.PUBLIC:
        return _READ
    if actor.is_anonymous:
        return _NOTHING
    if repository.visibility is Visibility.INTERNAL or repository.key.owner in rights.organisations:
        return _READ
    return _NOTHING
