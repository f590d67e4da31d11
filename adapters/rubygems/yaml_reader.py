"""Reads the YAML of gems as plain nodes: a handful of tags, no aliases, bounded depth and number. Pure.

Nothing is constructed but texts, lists and mappings: events of the parser are put together here, and whatever names
another class of Ruby's is an error. Scalars stay texts (a version `1.10` is no number) but for null, true and false.
"""

from typing import Any

import yaml

from adapters.rubygems.spec import Tagged
from gateway.errors import Invalid

_PREFIX = "!ruby/object:Gem::"
_KINDS = frozenset({"Specification", "Version", "Requirement", "Dependency", "Platform", "Version::Requirement"})
_PLAIN = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "false": False}
_DEEPEST = 20
_MOST_NODES = 100_000
_TEXT_TAG = "tag:yaml.org,2002:str"

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(body: bytes) -> Any:
    """The one document in `body`, as nodes; raises Invalid."""
    try:
        text = body.decode()
        return _Builder().build(text)
    except UnicodeDecodeError as error:
        raise Invalid("the YAML is not UTF-8") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Invalid(f"not readable YAML: {' '.join(str(error).split())[:200]}") from error


class _Builder:
    """Puts nodes together from events. `_open`: the collections that are still open, with the key that waits."""

    def __init__(self) -> None:
        self._open: list[tuple[list[Any] | dict[str, Any], list[Any]]] = []
        self._root: list[Any] = []
        self._nodes = 0

    def build(self, text: str) -> Any:
        for event in yaml.parse(text, Loader=_Loader):
            self._take(event)
        if len(self._root) != 1:
            raise Invalid("expected one YAML document")
        return self._root[0]

    def _take(self, event: Any) -> None:
        match event:
            case yaml.AliasEvent():
                raise Invalid("YAML aliases are not accepted")
            case yaml.ScalarEvent():
                self._add(_scalar(event))
            case yaml.SequenceStartEvent():
                if event.tag is not None:
                    raise Invalid(f"the YAML tag {event.tag[:80]!r} is not accepted on a list")
                self._start([], event)
            case yaml.MappingStartEvent():
                self._start(_mapping(event.tag), event)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._open.pop()
            case _:
                pass

    def _start(self, node: list[Any] | dict[str, Any], event: Any) -> None:
        if event.anchor is not None:
            raise Invalid("YAML anchors are not accepted")
        if len(self._open) >= _DEEPEST:
            raise Invalid(f"the YAML is nested more than {_DEEPEST} deep")
        self._add(node)
        self._open.append((node, []))

    def _add(self, node: Any) -> None:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise Invalid(f"the YAML has more than {_MOST_NODES} nodes")
        if not self._open:
            self._root.append(node)
            return
        parent, waiting = self._open[-1]
        if isinstance(parent, list):
            parent.append(node)
        elif not waiting:
            if not isinstance(node, str) or node == "<<" or node in parent:
                raise Invalid("a key in YAML is a text that stands there once")
            waiting.append(node)
        else:
            parent[waiting.pop()] = node


def _scalar(event: Any) -> Any:
    if event.anchor is not None:
        raise Invalid("YAML anchors are not accepted")
    if event.tag is not None and event.tag not in {"!", _TEXT_TAG}:
        raise Invalid(f"the YAML tag {event.tag[:80]!r} is not accepted")
    if not event.style and event.tag is None and event.value in _PLAIN:
        return _PLAIN[event.value]
    return event.value


def _mapping(tag: str | None) -> dict[str, Any]:
    if tag is None:
        return {}
    kind = tag.removeprefix(_PREFIX)
    if kind == tag or kind not in _KINDS:
        raise Invalid(f"the YAML tag {tag[:80]!r} is not accepted")
    node = Tagged()
    node.kind = kind
    return node
