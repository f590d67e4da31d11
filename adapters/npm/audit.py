"""Advisories about a tree of packages (npm.md §12), asked of the upstreams that own them.

Each name goes to the one upstream that answers for it, and to nobody when it is ours or reserved; an upstream is
believed only about the names that it was asked for. What it says of a package's versions is kept for some minutes,
since npm asks on every install. It is kept for exactly the versions that were asked for together (nearly always one):
which advisory is about which of them, only the upstream's answer as a whole says.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from adapters.npm import names
from gateway.errors import Blocked, Invalid, UpstreamCorrupt, UpstreamTrouble
from gateway.model import OwnerMode

if TYPE_CHECKING:
    from gateway.web.call import Call

PATH = "-/npm/v1/security/advisories/bulk"
_TROUBLE = (Blocked, UpstreamCorrupt, UpstreamTrouble)
_MAX_NAMES = 10_000
_MAX_KEPT = 256 * 1024  # bytes about one package; more is passed on, and not kept
_AT_ONCE = 8
_ANSWER = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])

Asked = dict[str, list[str]]
"""Name → versions, sorted, none twice."""


class Findings(Struct):
    """Advisories by name, and who could not be asked: names of upstreams, or of packages whose owner is not known."""

    advisories: dict[str, msgspec.Raw] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)

    @property
    def notice(self) -> str:
        """What a person must know of it."""
        if not self.silent:
            return ""
        first, *others = sorted(self.silent)
        more = f" and {len(others)} more" if others else ""
        return f"advisories are missing: {first}{more} could not be asked"


async def ask(call: "Call", wanted: Mapping[str, object]) -> Findings:
    """What the upstreams know of `{name: [versions]}`; raises Invalid for more names than any tree has."""
    if len(wanted) > _MAX_NAMES:
        raise Invalid(f"an audit of more than {_MAX_NAMES} packages")
    found = Findings()
    by_owner = await _by_owner(call, _checked(call, wanted), found)
    answers = await asyncio.gather(*(_ask_one(call, owner, asked, found) for owner, asked in by_owner.items()))
    for answer in answers:
        found.advisories |= answer
    return found


def _checked(call: "Call", wanted: Mapping[str, object]) -> Asked:
    """What may be asked at all: names of packages that are not ours, and their versions."""
    asked: Asked = {}
    for name, versions in wanted.items():
        if not isinstance(versions, list):
            continue
        texts = sorted({one for one in versions if isinstance(one, str) and names.is_version(one)})
        if texts and _is_theirs(call, name):
            asked[name] = texts
    return asked


def _is_theirs(call: "Call", name: str) -> bool:
    try:
        return names.normalize(name) == name and call.pull.owner_mode(name) is OwnerMode.UPSTREAM
    except Invalid:
        return False


async def _by_owner(call: "Call", asked: Asked, found: Findings) -> dict[str, Asked]:
    """The same by the upstream that owns each name; without those that nobody owns."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def owner(name: str) -> str | None:
        async with gate:
            try:
                return await call.pull.owner(name)
            except _TROUBLE:
                found.silent.add(name)
                return None

    by_owner: dict[str, Asked] = {}
    for name, upstream in zip(asked, await asyncio.gather(*map(owner, asked)), strict=True):
        if upstream is not None:
            by_owner.setdefault(upstream, {})[name] = asked[name]
    return by_owner


async def _ask_one(call: "Call", upstream: str, asked: Asked, found: Findings) -> dict[str, msgspec.Raw]:
    """Advisories by name, from what was said lately and from the upstream; nothing of its that we could not read."""
    kept = call.services.memos.answers
    keys = {name: _key(upstream, name, versions) for name, versions in asked.items()}
    said = {name: answer for name, key in keys.items() if (answer := kept.get(key)) is not None}
    missing = {name: versions for name, versions in asked.items() if name not in said}
    if missing:
        try:
            fresh = await _fetched(call, upstream, missing)
        except _TROUBLE:
            found.silent.add(upstream)
            fresh = {}
        for name, answer in fresh.items():
            if len(answer) <= _MAX_KEPT:
                kept[keys[name]] = answer
        said |= fresh
    return {name: msgspec.Raw(answer) for name, answer in said.items() if answer != b"[]"}


async def _fetched(call: "Call", upstream: str, asked: Asked) -> dict[str, bytes]:
    """The upstream's answer for each name that it was asked for, `[]` where it said nothing."""
    answer = await call.pull.post_upstream(PATH, msgspec.json.encode(asked), "application/json", upstream)
    if answer is None:
        raise UpstreamTrouble(f"{upstream} knows no advisories")
    return await asyncio.to_thread(_read, upstream, answer.body, asked)


def _read(upstream: str, body: bytes, asked: Iterable[str]) -> dict[str, bytes]:
    try:
        said = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt(f"what {upstream} says of advisories cannot be read") from error
    return {name: b"[" + b",".join(map(bytes, said.get(name, ()))) + b"]" for name in asked}


def _key(upstream: str, name: str, versions: Iterable[str]) -> bytes:
    return hashlib.sha256(msgspec.json.encode([upstream, PATH, name, *versions])).digest()
