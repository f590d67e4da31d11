"""Versions as the npm registry understands them: Semantic Versioning 2.0.0, strict, and what counts as a range.

Pure. Upstreams carry versions from before npm was strict; those stay readable (`names.check_version`) but sort first.
"""

import re
from collections.abc import Iterable

_NUMBER = r"(?:0|[1-9]\d{0,15})"
_PRERELEASE = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_STRICT = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_PRERELEASE}(?:\.{_PRERELEASE})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_PARTIAL = rf"(?:{_NUMBER}|[xX*])"
_RANGE = re.compile(
    rf"\s*(?:[~^<>=]|<=|>=|~>)?\s*[v=]*{_PARTIAL}"
    rf"(?:\.{_PARTIAL}(?:\.{_PARTIAL}(?:-{_PRERELEASE}(?:\.{_PRERELEASE})*)?(?:\+[0-9A-Za-z.-]+)?)?)?\s*",
    re.ASCII,
)
_MAX_LENGTH = 256  # node-semver's own limit

Key = tuple[bool, int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def is_strict(version: str) -> bool:
    """Whether this is a complete semantic version, without `v` or spaces."""
    return len(version) <= _MAX_LENGTH and _STRICT.fullmatch(version) is not None


def is_range(text: str) -> bool:
    """Whether npm would read this as a version range, so that it cannot be a tag: `1`, `v1.2`, `^1.0`, `*`, `x`, ``."""
    if not text.strip():
        return True
    return any(_RANGE.fullmatch(part) for part in re.split(r"\|\||\s-\s", text))


def is_prerelease(version: str) -> bool:
    """Whether the version has a prerelease part; versions that are not semantic count as prereleases."""
    found = _STRICT.fullmatch(version)
    return found is None or found[4] is not None


def sort_key(version: str) -> Key:
    """Orders by precedence (Semantic Versioning 2.0.0 §11); what is not a semantic version comes first."""
    found = _STRICT.fullmatch(version)
    if found is None:
        return (False, 0, 0, 0, False, ((False, 0, version),))
    parts = found[4].split(".") if found[4] else []
    prerelease = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
    return (True, int(found[1]), int(found[2]), int(found[3]), not parts, prerelease)


def newest(versions: Iterable[str]) -> str | None:
    """The version that `latest` should name: the highest release, else the highest prerelease, else None."""
    return max(versions, key=lambda version: (not is_prerelease(version), sort_key(version)), default=None)
