"""Ids, versions and version ranges of NuGet packages: one canonical form of each, and how they are ordered.

Pure. Canonical is the lower-case id and the lower-case normalised version: `1.0` and `1.0.0.0` are one version, and so
are `1.0.0-RC` and `1.0.0-rc+build` (nuget.md §2). Whatever gates, stores or asks upstreams uses these forms only.
"""

import re
from typing import Self

from msgspec import Struct

from gateway.errors import Invalid

MAX_ID = 100
_MAX_VERSION = 256
_MAX_NUMBER = 2**31 - 1
_ID = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*", re.ASCII)
_LABEL = r"[0-9A-Za-z-]+"
_VERSION = re.compile(
    rf"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.(\d+))?(?:-({_LABEL}(?:\.{_LABEL})*))?(?:\+({_LABEL}(?:\.{_LABEL})*))?",
    re.ASCII,
)
_RANGE = re.compile(r"([\[(])\s*([^,\s]*)\s*(?:(,)\s*([^,\s]*)\s*)?([\])])")


def normalize(package: str) -> str:
    """The canonical id; raises Invalid for what cannot be one (NuGet.Packaging, PackageIdValidator)."""
    if len(package) > MAX_ID or _ID.fullmatch(package) is None:
        raise Invalid(f"not a NuGet package id: {package[:80]!r}")
    return package.lower()


def is_id(package: str) -> bool:
    """Whether `normalize` accepts it."""
    return len(package) <= MAX_ID and _ID.fullmatch(package) is not None


class Version(Struct, frozen=True, eq=False):
    """A version: four numbers, labels of a prerelease as written, and build metadata, which counts for nothing."""

    numbers: tuple[int, int, int, int]
    labels: tuple[str, ...] = ()
    metadata: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one to four numbers, a prerelease and metadata; raises Invalid."""
        found = _VERSION.fullmatch(text) if len(text) <= _MAX_VERSION else None
        if found is None or any(len(part) > 10 or int(part) > _MAX_NUMBER for part in found.groups()[:4] if part):
            raise Invalid(f"not a NuGet version: {text[:80]!r}")
        major, minor, patch, revision = (int(part or 0) for part in found.groups()[:4])
        return cls(
            (major, minor, patch, revision), tuple((found[5] or "").split(".")) if found[5] else (), found[6] or ""
        )

    @property
    def normalized(self) -> str:
        """`1.0.0-RC.1`: three numbers, the fourth only where it is not zero, no metadata; casing as written."""
        shown = self.numbers if self.numbers[3] else self.numbers[:3]
        return ".".join(map(str, shown)) + (f"-{'.'.join(self.labels)}" if self.labels else "")

    @property
    def full(self) -> str:
        """The normalised form with its metadata, as registrations show it."""
        return f"{self.normalized}+{self.metadata}" if self.metadata else self.normalized

    @property
    def key(self) -> str:
        """The canonical form: what identifies the version in URLs and in the store."""
        return self.normalized.lower()

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before the release of the same numbers."""
        return bool(self.labels)

    @property
    def is_semver2(self) -> bool:
        """Whether clients before 4.3 cannot read it: a dotted prerelease or metadata."""
        return len(self.labels) > 1 or bool(self.metadata)

    def _order(self) -> tuple[object, ...]:
        """Numeric labels sort before words, words without regard to case (unlike Semantic Versioning §11)."""
        labels = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part.lower()) for part in self.labels)
        return (self.numbers, not self.labels, labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._order() == other._order()

    def __lt__(self, other: "Version") -> bool:
        return self._order() < other._order()

    def __le__(self, other: "Version") -> bool:
        return self._order() <= other._order()

    def __hash__(self) -> int:
        return hash(self._order())


class Range(Struct, frozen=True):
    """What a dependency accepts; None on a side means no bound."""

    lower: Version | None = None
    upper: Version | None = None
    has_lower: bool = False
    has_upper: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1.0` (at least), `[1.0]`, `(1.0,)`, `[1,2)`, `(,1.0]`, or nothing at all for any; raises Invalid."""
        text = text.strip()
        if not text:
            return cls()
        if text[0] not in "[(":
            return cls(Version.parse(text), None, has_lower=True)
        found = _RANGE.fullmatch(text)
        if found is None:
            raise Invalid(f"not a version range: {text[:80]!r}")
        opened, low, comma, high, closed = found.groups()
        if comma is None:
            if (opened, closed) != ("[", "]") or not low:
                raise Invalid(f"not a version range: {text[:80]!r}")
            exact = Version.parse(low)
            return cls(exact, exact, has_lower=True, has_upper=True)
        lower, upper = Version.parse(low) if low else None, Version.parse(high) if high else None
        if lower is not None and upper is not None and upper < lower:
            raise Invalid(f"a version range that is empty: {text[:80]!r}")
        return cls(lower, upper, opened == "[" and lower is not None, closed == "]" and upper is not None)

    @property
    def is_semver2(self) -> bool:
        """Whether one of its bounds is a version that old clients cannot read."""
        return any(bound is not None and bound.is_semver2 for bound in (self.lower, self.upper))

    def __contains__(self, version: Version) -> bool:
        above = self.lower is None or version > self.lower or (self.has_lower and version == self.lower)
        return above and (self.upper is None or version < self.upper or (self.has_upper and version == self.upper))

    def __str__(self) -> str:
        """The form that registrations have: `[1.0.0, )`."""
        low = self.lower.full if self.lower is not None else ""
        high = self.upper.full if self.upper is not None else ""
        return f"{'[' if self.has_lower else '('}{low}, {high}{']' if self.has_upper else ')'}"


def version_key(text: str) -> str:
    """The canonical form of a version in any spelling; raises Invalid."""
    return Version.parse(text).key


def nupkg(package: str, version: str) -> str:
    """The one file name of a version, of canonical id and version."""
    return f"{package}.{version}.nupkg"


def is_file_of(package: str, version: str, filename: str) -> bool:
    """Whether a file name in any spelling is that of this package's version (both canonical)."""
    stem = filename.lower().removesuffix(".nupkg")
    if stem == filename.lower() or not stem.startswith(f"{package}."):
        return False
    try:
        return version_key(stem[len(package) + 1 :]) == version
    except Invalid:
        return False
