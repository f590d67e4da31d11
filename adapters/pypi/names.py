"""Names of Python packages, versions and files: normalise and validate, nothing else (no I/O, no guessing).

A name is checked before it is normalised, since a normaliser that coerces is a way around the ownership gate.
Packaging user guide: "Names and normalization", "Version specifiers", "Binary distribution format", "Source
distribution format".
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from packaging.version import InvalidVersion, Version

from gateway.errors import Invalid

Kind = Literal["bdist_wheel", "sdist"]

SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz", ".tbz", ".txz", ".tar.lzma", ".tar")

# ASCII only: with IGNORECASE alone the Kelvin sign and the long s would count as letters.
_NAME = re.compile(r"(?:[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9])\Z", re.IGNORECASE | re.ASCII)
_RUN = re.compile(r"[-_.]+")
_FILENAME = re.compile(r"[A-Za-z0-9._+!-]{1,255}\Z")
_WHEEL = re.compile(  # name, version, build, python, abi, platform
    r"([A-Za-z0-9._]{1,200})-([A-Za-z0-9._+!]{1,200})(?:-\d[A-Za-z0-9._]{0,99})?"
    r"-([A-Za-z0-9_.]{1,255})-([A-Za-z0-9_.]{1,255})-([A-Za-z0-9_.]{1,255})\.whl\Z",
    re.ASCII,
)
_LONGEST = 255


class FileName(Struct, frozen=True):
    """What a file's name says. version: in PEP 440's canonical spelling. python: the wheel's tag, or `source`."""

    kind: Kind
    name: str
    version: str
    python: str
    tags: tuple[str, str, str] | None = None


def is_name(text: str) -> bool:
    """Whether this is a valid name, in any spelling."""
    return _NAME.match(text) is not None


@lru_cache(maxsize=16384)
def normalize(text: str) -> str:
    """The canonical name (PEP 503); raises Invalid for what is no name at all."""
    if not is_name(text):
        raise Invalid(f"not a valid name for a package: {text[:80]!r}")
    return _RUN.sub("-", text).lower()


@lru_cache(maxsize=65536)
def parse_version(text: str) -> Version | None:
    """The version that the text spells, or None if it is none of PEP 440."""
    if len(text) > 200 or not text.isascii():
        return None
    try:
        return Version(text)
    except InvalidVersion:
        return None


@lru_cache(maxsize=65536)
def canonical_version(text: str) -> str | None:
    """The canonical spelling of a version, or None if it is none of PEP 440. Trailing zeros stay."""
    version = parse_version(text)
    return None if version is None else str(version)


def same_version(one: str, other: str) -> bool:
    """Whether both spell the same version: `1.0` and `1.0.0` do."""
    left, right = parse_version(one), parse_version(other)
    return left is not None and left == right


def newest(versions: "set[str] | frozenset[str]") -> str | None:
    """The newest final version, else the newest pre-release; None for an empty set. Versions are canonical."""
    known = [(version, text) for text in versions if (version := parse_version(text)) is not None]
    finals = [pair for pair in known if not pair[0].is_prerelease]
    return max(finals or known, default=(None, None))[1]


def is_filename(text: str) -> bool:
    """Whether this is one plain path segment of the characters that wheels and sdists are named with."""
    return _FILENAME.match(text) is not None and not text.startswith(".")


def version_of(filename: str, package: str) -> str | None:
    """The canonical version in the name of a wheel or sdist of this canonical package; None if it is neither."""
    if filename.endswith(".whl"):
        wheel = _WHEEL.match(filename)
        if wheel is None or len(filename) > _LONGEST or _normalized_or_none(wheel[1]) != package:
            return None
        # Old tools wrote the dash of `1.0-1` as an underscore.
        return canonical_version(wheel[2]) or canonical_version(wheel[2].replace("_", "-"))
    named = _sdist(filename, package)
    return None if named is None else named[1]


def parse_filename(filename: str, package: str) -> FileName | None:
    """What the name of a wheel or sdist of this canonical package says; None if it is another's, or neither."""
    version = version_of(filename, package)
    if version is None:
        return None
    wheel = _WHEEL.match(filename)
    if wheel is not None:
        return FileName("bdist_wheel", wheel[1], version, wheel[3], (wheel[3], wheel[4], wheel[5]))
    named = _sdist(filename, package)
    return None if named is None else FileName("sdist", named[0], version, "source")


def _sdist(filename: str, package: str) -> tuple[str, str] | None:
    """Name and version: both may contain dashes, so the split is where the left side is the package's name."""
    suffix = next((suffix for suffix in SDIST_SUFFIXES if filename.endswith(suffix)), None)
    if suffix is None or not is_filename(filename):
        return None
    stem = filename[: -len(suffix)]
    cut = stem.find("-")
    while cut > 0:
        name = stem[:cut]
        if _normalized_or_none(name) == package and (version := canonical_version(stem[cut + 1 :])) is not None:
            return name, version
        cut = stem.find("-", cut + 1)
    return None


@lru_cache(maxsize=16384)
def _normalized_or_none(text: str) -> str | None:
    return _RUN.sub("-", text).lower() if is_name(text) else None
