"""POMs and metadata as they come from strangers: bounded, without DOCTYPE, and read in one pass. Pure.

libxml2 parses (through lxml), but builds no tree: its events are collected for the few elements that are wanted, so
memory does not grow with what a document holds. A DOCTYPE, depth, length of a text or number of elements beyond what a
real document has, and anything that is not well-formed is Invalid; entities cannot be declared without a DOCTYPE.
"""

from collections.abc import Callable, Collection
from typing import Any

from lxml import etree
from msgspec import Struct, field

from gateway.errors import Invalid

MAX_POM = 4 * 1024**2  # bytes
MAX_METADATA = 32 * 1024**2
_DEEPEST = 64
_MOST_ELEMENTS = 200_000
_LONGEST_TEXT = 4096  # bytes of an element that is wanted; longer ones are cut

Leave = Callable[[tuple[str, ...], str], None]
Close = Callable[[tuple[str, ...]], None]


class Pom(Struct, frozen=True):
    """What we need of a POM. Values that it inherits from its parent are None."""

    group: str | None
    artifact: str | None
    version: str | None
    packaging: str
    name: str | None
    parent: tuple[str, str, str] | None


class Metadata(Struct):
    """What a metadata document says, whatever its level. plugins: (artifact, prefix, name)."""

    group: str | None = None
    artifact: str | None = None
    version: str | None = None
    latest: str | None = None
    release: str | None = None
    last_updated: str | None = None
    versions: list[str] = field(default_factory=list)
    plugins: list[tuple[str, str, str]] = field(default_factory=list)


def parse_pom(body: bytes, leave: Leave = lambda _path, _text: None, close: Close = lambda _path: None) -> Pom:
    """Read a POM; raises Invalid. leave, close: told of everything besides, see `read_events`."""
    found: dict[tuple[str, ...], str] = {}

    def note(path: tuple[str, ...], text: str) -> None:
        if len(path) == 1 or (len(path) == 2 and path[0] == "parent"):
            found.setdefault(path, text)
        else:
            leave(path, text)

    read_events(body, "project", note, MAX_POM, close)
    parent = None
    if any(path[0] == "parent" for path in found):
        group, artifact, version = (found.get(("parent", key), "") for key in ("groupId", "artifactId", "version"))
        parent = (group, artifact, version)
    return Pom(
        found.get(("groupId",)),
        found.get(("artifactId",)),
        found.get(("version",)),
        found.get(("packaging",)) or "jar",
        found.get(("name",)),
        parent,
    )


def parse_metadata(body: bytes) -> Metadata:
    """Read a maven-metadata.xml; raises Invalid."""
    found = Metadata()
    plugin: dict[str, str] = {}

    def leave(path: tuple[str, ...], text: str) -> None:
        match path:
            case ("groupId",):
                found.group = text
            case ("artifactId",):
                found.artifact = text
            case ("version",):
                found.version = text
            case ("versioning", "latest"):
                found.latest = text
            case ("versioning", "release"):
                found.release = text
            case ("versioning", "lastUpdated"):
                found.last_updated = text
            case ("versioning", "versions", "version"):
                found.versions.append(text)
            case ("plugins", "plugin", key):
                plugin[key] = text
            case _:
                pass

    def close(path: tuple[str, ...]) -> None:
        if path == ("plugins", "plugin") and plugin.get("artifactId") and plugin.get("prefix"):
            found.plugins.append((plugin["artifactId"], plugin["prefix"], plugin.get("name", "")))
        if path == ("plugins", "plugin"):
            plugin.clear()

    read_events(body, "metadata", leave, MAX_METADATA, close)
    return found


def plugin_prefix(body: bytes) -> str | None:
    """The goal prefix in a plugin's `META-INF/maven/plugin.xml`; raises Invalid."""
    found: list[str] = []

    def leave(path: tuple[str, ...], text: str) -> None:
        if path == ("goalPrefix",):
            found.append(text)

    read_events(body, "plugin", leave, MAX_METADATA, only={("goalPrefix",)})
    return found[0] if found else None


def read_events(
    body: bytes,
    root: str,
    leave: Leave,
    limit: int,
    close: Close = lambda _: None,
    only: Collection[tuple[str, ...]] = (),
) -> None:
    """Read a document of this root element, at most `limit` bytes; raises Invalid.

    leave: told path (without the root) and text of each element without children. close: the path of each other one.
    only: the only paths that `leave` is told of.
    """
    if len(body) > limit:
        raise Invalid(f"the document has {len(body)} bytes, more than {limit}")
    parser = etree.XMLParser(
        target=_Events(root, leave, close, only),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for start in range(0, len(body), 64 * 1024):
            parser.feed(body[start : start + 64 * 1024])
        parser.close()
    except (etree.XMLSyntaxError, ValueError, LookupError, AssertionError) as error:
        raise Invalid(f"not well-formed XML: {' '.join(str(error).split())[:120]}") from error


class _Events:
    """Takes the parser's events: keeps a path and the text of the innermost element, nothing else."""

    def __init__(self, root: str, leave: Leave, close: Close, only: Collection[tuple[str, ...]]) -> None:
        self._root = root
        self._leave = leave
        self._close = close
        self._only = only
        self._path: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self._count = 0
        self._is_leaf = False

    def start(self, tag: str, _attributes: Any) -> None:
        name = tag.rpartition("}")[2]
        self._count += 1
        if self._count > _MOST_ELEMENTS or len(self._path) >= _DEEPEST:
            raise Invalid("the document has more elements, or deeper ones, than a real one")
        if not self._path and name != self._root:
            raise Invalid(f"expected a document of <{self._root}>, got <{name[:40]}>")
        self._path.append(name)
        self._text.clear()
        self._size = 0
        self._is_leaf = True

    def data(self, text: str) -> None:
        if self._is_leaf and self._size < _LONGEST_TEXT:
            self._text.append(text[:_LONGEST_TEXT])
            self._size += len(text)

    def end(self, _tag: str) -> None:
        path = tuple(self._path[1:])
        if path and self._is_leaf and (not self._only or path in self._only):
            self._leave(path, "".join(self._text).strip()[:_LONGEST_TEXT])
        elif path:
            self._close(path)
        self._path.pop()
        self._is_leaf = False

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> None:
        raise Invalid("the document has a DOCTYPE, which no POM and no metadata needs")

    def comment(self, _text: str) -> None:
        """Comments say nothing."""

    def pi(self, _target: str, _data: str | None = None) -> None:
        """Nor do processing instructions."""

    def close(self) -> None:
        """The document has ended."""
