"""Scopes of the token service, and the challenge that sends clients to it. Pure.

A name in a scope is relative to the root by which the client came: `container/acme/app/tool` below the host, `tool`
below a repository. A scope that names something foreign asks for nothing, and is no error.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from adapters.container.names import ALIASES, TYPE, check_name
from gateway.adapter import Challenged
from gateway.errors import Invalid, ScopeMissing
from gateway.model import Asked, RepositoryKey, Scope

MOST = 50
_TYPES = frozenset({TYPE, *ALIASES})
_ACTIONS = {"pull": Scope.READ, "push": Scope.WRITE, "delete": Scope.DELETE}
_ALL = frozenset(_ACTIONS.values())
CATALOG = Asked("", "", frozenset({Scope.READ}))
_NAMED = re.compile(r"v2/(?P<name>.+)/(?P<kind>manifests|blobs/uploads|blobs|tags|referrers)(?:/|\Z)")


class Wanted(Struct, frozen=True):
    """One scope as a client wrote it, and what it asks for."""

    name: str
    asked: Asked


def parse_scopes(texts: Iterable[str], below: RepositoryKey | None) -> list[Wanted]:
    """What these scopes ask for, seen from a repository or (None) from the host; the foreign ones are left out."""
    words = [word for text in texts for word in text.split(" ") if word][:MOST]
    found = (_parse(word, below) for word in words)
    return [one for one in found if one is not None]


def render_scope(wanted: Wanted, granted: frozenset[Scope]) -> str:
    """The scope again with the actions that were granted."""
    if wanted.asked == CATALOG:
        return "registry:catalog:*"
    actions = ",".join(action for action, scope in _ACTIONS.items() if scope in granted)
    return f"repository:{wanted.name}:{actions}"


def challenge_for(refused: Challenged) -> str:
    """The one challenge of a root (never Basic beside it: dockerd would then fail to pull as nobody)."""
    service = _quoted(urlsplit(refused.root).netloc)
    if refused.rest == "token":
        return f'Basic realm="{service}"'
    is_host = refused.place is not None or refused.key is None
    realm = _quoted((refused.root if is_host else refused.base) + "token")
    parts = [f'realm="{realm}"', f'service="{service}"']
    scope = _needed(refused)
    if scope:
        parts.append(f'scope="{_quoted(scope)}"')
    if isinstance(refused.error, ScopeMissing):
        parts.append('error="insufficient_scope"')
    return "Bearer " + ",".join(parts)


def _needed(refused: Challenged) -> str:
    """The scope that would let the request pass."""
    if refused.rest == "v2/_catalog":
        return "registry:catalog:*"
    match = _NAMED.match(refused.rest)
    if match is None:
        return ""
    if refused.method == "HEAD" and match["kind"] == "blobs":
        actions = "pull,push"  # who looks for a blob is about to push; oras-py 0.2 never asks for more later
    elif refused.method in {"GET", "HEAD"} and match["kind"] != "blobs/uploads":
        actions = "pull"
    elif refused.method == "DELETE" and match["kind"] != "blobs/uploads":
        actions = "pull,delete"
    else:
        actions = "pull,push"
    key = refused.key
    prefix = f"{TYPE}/{key.owner}/{key.name}/" if refused.place is not None and key is not None else ""
    return f"repository:{prefix}{match['name']}:{actions}"


def _parse(word: str, below: RepositoryKey | None) -> Wanted | None:
    kind, _, rest = word.partition(":")
    name, _, listed = rest.rpartition(":")
    kind = kind.partition("(")[0]  # `repository(plugin)`
    if kind == "registry" and name == "catalog":
        return Wanted(name, CATALOG)
    actions = {action for action in listed.split(",") if action}
    if kind != "repository" or not name or not actions:
        return None
    scopes = _ALL if "*" in actions else frozenset(_ACTIONS[action] for action in actions if action in _ACTIONS)
    try:
        key, image = _resolve(name, below)
        return Wanted(name, Asked(str(key), check_name(image), scopes))
    except Invalid:
        return None


def _resolve(name: str, below: RepositoryKey | None) -> tuple[RepositoryKey, str]:
    if below is not None:
        return below, name
    parts = name.split("/", 3)
    if len(parts) < 4 or parts[0] not in _TYPES:
        raise Invalid("a scope of another registry")
    return RepositoryKey.checked(TYPE, parts[1], parts[2]), parts[3]


def _quoted(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() and letter not in '"\\' and letter.isascii())
