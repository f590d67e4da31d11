"""Whether one token's limits lie within another's, and whether one grant's patterns cover another's. Pure.

A token may mint, and revoke, only what can do no more than itself. Patterns are compared by form, not by what exists
now: where it is not plain that one covers the other, it does not.
"""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_network

from gateway.auth.access import implied, is_any
from gateway.model import TokenLimits, matches

_WILD = frozenset("*?[")


def is_within(asked: TokenLimits, limits: TokenLimits) -> bool:
    """Whether a token with the limits `asked` could do nothing that one with `limits` cannot."""
    if not implied(asked.scopes) <= implied(limits.scopes):
        return False
    if limits.expires_at is not None and (asked.expires_at is None or asked.expires_at > limits.expires_at):
        return False
    return (
        _all_covered(asked.repositories, limits.repositories, covers_repository)
        and _all_covered(asked.packages, limits.packages, covers_package)
        and _all_covered(asked.cidrs, limits.cidrs, covers_network)
    )


def covers_repository(wide: str, narrow: str) -> bool:
    """Whether every repository that `narrow` names is named by `wide`."""
    if wide in {"*", narrow}:
        return True
    mine, theirs = wide.split("/"), narrow.split("/")
    return len(mine) == len(theirs) == 3 and all(map(_covers, mine, theirs))


def covers_package(wide: str, narrow: str) -> bool:
    """Whether every package that `narrow` names is named by `wide`."""
    return (is_any(wide) and bool(wide)) or _covers(wide, narrow)


def covers_network(wide: str, narrow: str) -> bool:
    """Whether the network `narrow` lies in `wide`; False for anything unreadable."""
    try:
        outer, inner = ip_network(wide, strict=False), ip_network(narrow, strict=False)
    except ValueError:
        return False
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # same version: same type


def _covers(wide: str, narrow: str) -> bool:
    if wide == narrow:
        return True
    if not _WILD & set(narrow):
        return matches(wide, narrow)
    if narrow.endswith((".**", "/**")) and not matches(wide, narrow[:-3]):  # it names its own prefix as well
        return False
    prefix = wide[:-1]
    return wide.endswith("*") and not _WILD & set(prefix) and narrow.startswith(prefix)


def _all_covered(asked: Sequence[str], limits: Iterable[str], covers: Callable[[str, str], bool]) -> bool:
    """Whether each asked entry lies in some limit. Empty means everything, on both sides."""
    limits = tuple(limits)
    if not limits:
        return True
    return bool(asked) and all(any(covers(wide, narrow) for wide in limits) for narrow in asked)
