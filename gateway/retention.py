"""Which tags and nodes a retention rule lets go. Pure: a snapshot of a package in, a decision out; time is an argument.

A repository's setting `retention` is a list of rules; the first one whose `tags` (patterns, all by default) match a tag
decides about it. A tag stays while any of these holds: it is among the `keep_last` most recently moved ones of its
rule, it moved within `pushed_days`, its node was pulled within `pulled_days`. A rule that says none of the three keeps
its tags. What no tag reaches goes `untagged_days` after it was pushed, if any rule says so; what an index lists, and
what is attached to something that stays, is reached.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from gateway.errors import ConfigInvalid
from gateway.store.graph_rows import Letting, NodeRow, PointerRow, Snapshot

_DAY = 86400.0
_KEYS = ("tags", "keep_last", "pushed_days", "pulled_days", "untagged_days")

Attached = Callable[[str], str | None]
"""The digest of the node that a tag belongs to by its name (a signature's), or None for a tag of its own."""


class Rule(Struct, frozen=True):
    """One rule; None: not said."""

    tags: tuple[str, ...] = ("*",)
    keep_last: int | None = None
    pushed_days: float | None = None
    pulled_days: float | None = None
    untagged_days: float | None = None

    @property
    def is_limiting(self) -> bool:
        """Whether it lets any tag go."""
        return any(value is not None for value in (self.keep_last, self.pushed_days, self.pulled_days))


def read_rules(settings: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules in a repository's settings; raises ConfigInvalid."""
    listed = settings.get("retention") or []
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ConfigInvalid("settings.retention: expected a list of rules")
    return tuple(_rule(f"settings.retention.{number}", one) for number, one in enumerate(listed))


def plan(snapshot: Snapshot, rules: Sequence[Rule], attached: Attached, now: float) -> Letting:
    """What these rules let go of a package."""
    own = [pointer for pointer in snapshot.pointers if attached(pointer.name) is None]
    gone = {name for rule in rules for name in _expired(snapshot, own, rule, rules, now)}
    days = [rule.untagged_days for rule in rules if rule.untagged_days is not None]
    kept = {pointer.digest for pointer in own if pointer.name not in gone}
    young = set() if not days else {d for d, n in snapshot.nodes.items() if n.pushed_at > now - min(days) * _DAY}
    attachments = [pointer for pointer in snapshot.pointers if attached(pointer.name) is not None]
    alive = _reached(snapshot, kept | young, attachments, attached)
    nodes = [digest for digest in snapshot.nodes if digest not in alive] if days else []
    orphans = [p.name for p in attachments if days and p.digest not in alive]
    return Letting(snapshot.package, tuple(sorted([*gone, *orphans])), tuple(sorted(nodes)))


def _expired(snapshot: Snapshot, own: list[PointerRow], rule: Rule, rules: Sequence[Rule], now: float) -> list[str]:
    """The tags that this rule decides about and lets go."""
    if not rule.is_limiting:
        return []
    mine = [pointer for pointer in own if next((r for r in rules if _covers(r, pointer.name)), None) is rule]
    mine.sort(key=lambda pointer: (-pointer.moved_at, pointer.name))
    return [pointer.name for pointer in mine[rule.keep_last or 0 :] if not _is_recent(snapshot, pointer, rule, now)]


def _covers(rule: Rule, tag: str) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in rule.tags)


def _is_recent(snapshot: Snapshot, pointer: PointerRow, rule: Rule, now: float) -> bool:
    if rule.pushed_days is not None and pointer.moved_at > now - rule.pushed_days * _DAY:
        return True
    node: NodeRow | None = snapshot.nodes.get(pointer.digest)
    if rule.pulled_days is None or node is None:
        return False
    return (node.pulled_at or node.pushed_at) > now - rule.pulled_days * _DAY


def _reached(snapshot: Snapshot, roots: set[str], attachments: list[PointerRow], attached: Attached) -> set[str]:
    """Everything that the roots list, and what is attached to any of it, over as many steps as it takes."""
    by_subject: dict[str, set[str]] = {}
    for node in snapshot.nodes.values():
        if node.subject:
            by_subject.setdefault(node.subject, set()).add(node.digest)
    for pointer in attachments:
        by_subject.setdefault(attached(pointer.name) or "", set()).add(pointer.digest)
    alive: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in alive and digest in snapshot.nodes:
            alive.add(digest)
            waiting += [*snapshot.edges.get(digest, ()), *by_subject.get(digest, ())]
    return alive


def _rule(path: str, value: Any) -> Rule:
    if not isinstance(value, Mapping):
        raise ConfigInvalid(f"{path}: expected keys and values")
    for key in value:
        if key not in _KEYS:
            raise ConfigInvalid(f"{path}.{key}: unknown key (known: {', '.join(_KEYS)})")
    tags = value.get("tags", ["*"])
    if not isinstance(tags, Sequence) or isinstance(tags, str):
        raise ConfigInvalid(f"{path}.tags: expected a list of patterns")
    last = value.get("keep_last")
    if last is not None and (not isinstance(last, int) or isinstance(last, bool) or last < 0):
        raise ConfigInvalid(f"{path}.keep_last: expected a whole number")
    days = {key: value.get(key) for key in _KEYS[2:]}
    for key, number in days.items():
        if number is not None and (not isinstance(number, int | float) or isinstance(number, bool) or number < 0):
            raise ConfigInvalid(f"{path}.{key}: expected days")
    return Rule(tuple(str(tag) for tag in tags), last, *days.values())
