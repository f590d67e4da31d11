"""A gem's specification, as a plain value: what metadata.gz says, checked. Pure.

It is built from nodes that `yaml_reader` or `marshal_reader` made of a stranger's bytes, never from objects that those
bytes name. What goes into lines of the compact index can break none: no separators, no line ends.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from adapters.rubygems import names
from gateway.errors import Invalid

_OPERATORS = frozenset({"=", "!=", ">", "<", ">=", "<=", "~>"})
_REQUIRED = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,199}\Z")
_DAY = re.compile(r"([0-9]{4})-([01][0-9])-([0-3][0-9])")
_MOST_DEPENDENCIES = 2000
_LONGEST = 512 * 1024  # characters of any one text
_EPOCH = (1970, 1, 1)


class Clause(Struct, frozen=True):
    """One half of a requirement: `>= 1.0`."""

    operator: str
    version: str


ANY = (Clause(">=", "0"),)


class Dependency(Struct, frozen=True):
    name: str
    clauses: tuple[Clause, ...]
    is_runtime: bool = True


class Spec(Struct, frozen=True):
    """What the index, the gemspec and the JSON views are made of. day: year, month and day of the gem."""

    name: str
    version: str
    platform: str = names.RUBY
    rubygems_version: str = ""
    day: tuple[int, int, int] = _EPOCH
    summary: str = ""
    description: str = ""
    homepage: str = ""
    email: str | tuple[str, ...] = ""
    authors: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    required_ruby: tuple[Clause, ...] = ANY
    required_rubygems: tuple[Clause, ...] = ANY
    dependencies: tuple[Dependency, ...] = ()

    @property
    def full_name(self) -> str:
        return f"{self.name}-{names.label_of(self.version, self.platform)}"


class Tagged(dict[str, Any]):
    """A mapping that its document says is an object of Ruby. `kind`: its class, without `Gem::`."""

    kind = ""


def read_spec(node: Any) -> Spec:
    """The specification in a tree of nodes; raises Invalid for one that cannot be true."""
    if not isinstance(node, Tagged) or node.kind != "Specification":
        raise Invalid("the metadata is no Gem::Specification")
    name, version = _text(node, "name"), version_of(node.get("version"))
    if not names.is_name(name):
        raise Invalid(f"name: not a valid name for a gem: {name[:80]!r}")
    if not names.is_version(version):
        raise Invalid(f"version: not a version of a gem: {version[:80]!r}")
    email = node.get("email")
    return Spec(
        name=name,
        version=version,
        platform=platform_of(node.get("platform")),
        rubygems_version=_text(node, "rubygems_version")[:100],
        day=day_of(node.get("date")),
        summary=_text(node, "summary"),
        description=_text(node, "description"),
        homepage=_text(node, "homepage"),
        email=_texts(email, "email") if isinstance(email, list) else _text(node, "email"),
        authors=_texts(node.get("authors") or [], "authors"),
        licenses=_texts(node.get("licenses") or [], "licenses"),
        metadata=_metadata(node.get("metadata") or {}),
        required_ruby=clauses_of(node.get("required_ruby_version")),
        required_rubygems=clauses_of(node.get("required_rubygems_version")),
        dependencies=_dependencies(node.get("dependencies") or []),
    )


def version_of(node: Any) -> str:
    """The text of a Gem::Version, or of a plain one; an empty Gem::Version is 0, as in Ruby."""
    if isinstance(node, Tagged) and node.kind == "Version":
        node = node.get("version")
        node = "0" if node is None else node
    if not isinstance(node, str):
        raise Invalid("version: expected a Gem::Version")
    return node.strip()


def platform_of(node: Any) -> str:
    """`ruby`, or what a Gem::Platform is called; raises Invalid."""
    if isinstance(node, Tagged) and node.kind == "Platform":
        parts = [node.get(key) for key in ("cpu", "os", "version")]
        node = "-".join(str(part) for part in parts if part is not None)
    if node is None or node == "":
        return names.RUBY
    if not isinstance(node, str) or not names.is_platform(node):
        raise Invalid(f"platform: not a platform: {str(node)[:80]!r}")
    return node


def clauses_of(node: Any) -> tuple[Clause, ...]:
    """The clauses of a Gem::Requirement; None for one that asks for nothing."""
    if node is None:
        return ANY
    if not isinstance(node, Tagged) or node.kind not in {"Requirement", "Version::Requirement"}:
        raise Invalid("expected a Gem::Requirement")
    pairs = node.get("requirements")
    if not isinstance(pairs, list) or len(pairs) > 100:
        raise Invalid("a requirement is a list of clauses")
    found = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] not in _OPERATORS:
            raise Invalid("a clause is an operator and a version")
        version = version_of(pair[1])
        if not _REQUIRED.match(version):
            raise Invalid(f"not a version to require: {version[:80]!r}")
        found.append(Clause(str(pair[0]), version))
    return tuple(found) or ANY


def day_of(node: Any) -> tuple[int, int, int]:
    """Year, month and day of a date, however precise; 1970-01-01 for none."""
    match = _DAY.match(node) if isinstance(node, str) else None
    if match is None:
        return _EPOCH
    year, month, day = (int(part) for part in match.groups())
    return (year, month, day) if 1970 <= year <= 2900 and 1 <= month <= 12 and 1 <= day <= 31 else _EPOCH


def _dependencies(node: Any) -> tuple[Dependency, ...]:
    if not isinstance(node, list) or len(node) > _MOST_DEPENDENCIES:
        raise Invalid(f"dependencies: expected a list of at most {_MOST_DEPENDENCIES}")
    return tuple(_dependency(one) for one in node)


def _dependency(node: Any) -> Dependency:
    if not isinstance(node, Tagged) or node.kind != "Dependency":
        raise Invalid("dependencies: expected a Gem::Dependency")
    name = node.get("name")
    if not isinstance(name, str) or not names.is_name(name):
        raise Invalid(f"dependencies: not a valid name for a gem: {str(name)[:80]!r}")
    kind = str(node.get("type") or ":runtime").removeprefix(":")
    if kind not in {"runtime", "development"}:
        raise Invalid(f"dependencies: unknown type {kind[:40]!r}")
    required = node.get("requirement")
    if required is None:
        required = node.get("version_requirements", node.get("version_requirement"))
    return Dependency(name, clauses_of(required), kind == "runtime")


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise Invalid(f"{key}: expected a text of at most {_LONGEST} characters")
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    """A list of texts; empty entries are left out, since old gems have them."""
    if not isinstance(value, list) or not all(isinstance(one, str) or one is None for one in value):
        raise Invalid(f"{key}: expected a list of texts")
    return tuple(one for one in value if one)


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise Invalid("metadata: expected texts under texts")
    return dict(value)
