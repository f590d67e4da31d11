"""Names, versions, tags and file names of npm packages: one canonical form, and what may be published.

Pure. Canonical is the name with a plain slash, `@scope/name`, in the case it was published in: the npm registry still
serves unscoped names with capitals, which differ from their lower-case twins. Scopes never had capitals, so a scope
that has some is refused: it could only be meant to slip past a reservation.
"""

import re
from urllib.parse import quote

from adapters.npm import semver
from gateway.errors import Invalid

# What encodeURIComponent leaves alone, which is what npm's oldest names are made of.
_PART = r"[A-Za-z0-9!~*'()-][A-Za-z0-9._!~*'()-]*"
_READABLE = re.compile(rf"(?:@[a-z0-9~!*'()-][a-z0-9._~!*'()-]*/)?{_PART}")
_PUBLISHABLE = re.compile(r"(?:@[a-z0-9-][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_VERSION = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z_~+-]|\.(?!\.))*")
_TAG = re.compile(r"[A-Za-z0-9_!~*'()-][A-Za-z0-9._!~*'()-]*")
_FORBIDDEN = {"node_modules", "favicon.ico"}
_ENCODED_SCOPE = re.compile(r"(?:(?<=/)|\A)(?:@|%40)([^/%@]+)(?:%2f|/)", re.IGNORECASE)
_MAX_PUBLISHED = 214
_MAX_READABLE = 512


def normalize(package: str) -> str:
    """The canonical name; raises Invalid for what was never an npm name."""
    if len(package) > _MAX_READABLE or _READABLE.fullmatch(package) is None or package == "-":
        raise Invalid(f"not an npm package name: {package[:80]!r}")
    return package


def check_publishable(package: str) -> None:
    """Raise Invalid unless today's rules let this name be published: lower case, short, no odd characters."""
    if len(package) > _MAX_PUBLISHED:
        raise Invalid(f"a package name has at most {_MAX_PUBLISHED} characters")
    if _PUBLISHABLE.fullmatch(package) is None or unscoped(package) in _FORBIDDEN:
        raise Invalid(f"not a name for a new package: {package[:80]!r} (lower-case letters, digits, `-`, `.`, `_`)")


def check_version(version: str) -> str:
    """The version as it stands, if it can be part of a file's name; raises Invalid."""
    if len(version) > 256 or _VERSION.fullmatch(version) is None:
        raise Invalid(f"not a version: {version[:80]!r}")
    return version


def is_version(version: str) -> bool:
    """Whether `check_version` accepts it."""
    return len(version) <= 256 and _VERSION.fullmatch(version) is not None


def check_tag(tag: str) -> str:
    """The tag; raises Invalid for characters that do not fit into a path and for what npm reads as a range."""
    if len(tag) > 214 or _TAG.fullmatch(tag) is None:
        raise Invalid(f"not a tag: {tag[:80]!r}")
    if semver.is_range(tag):
        raise Invalid(f"a tag must not be a version range: {tag!r}")
    return tag


def scope_of(package: str) -> str | None:
    """`acme` of `@acme/lib`; None for an unscoped name."""
    return package[1 : package.index("/")] if package.startswith("@") else None


def unscoped(package: str) -> str:
    """`lib` of `@acme/lib`."""
    return package.rpartition("/")[2]


def tarball(package: str, version: str) -> str:
    """The one file name of a version: yarn's lockfile stays free of our address with this shape only."""
    return f"{unscoped(package)}-{version}.tgz"


def version_of(package: str, filename: str) -> str:
    """The version whose tarball has this name; raises Invalid for any other file name."""
    start = f"{unscoped(package)}-"
    if not filename.startswith(start) or not filename.endswith(".tgz"):
        raise Invalid(f"not a tarball of {package}: {filename[:80]!r}")
    return check_version(filename[len(start) : -4])


def split_spec(spec: str) -> tuple[str, str]:
    """`name@version` taken apart; raises Invalid. A scope's own `@` does not count."""
    name, at, version = spec.rpartition("@")
    if not at or not name:
        raise Invalid(f"expected name@version, got {spec[:80]!r}")
    return normalize(name), check_version(version)


def quoted(package: str) -> str:
    """The name as one path segment below an upstream: `@acme%2flib`."""
    return quote(package, safe="@!~*'()").replace("%2F", "%2f")


def purl(package: str, version: str) -> str:
    """The package URL as npm writes it into provenance: `pkg:npm/%40acme/lib@1.0.0`."""
    return f"pkg:npm/{quote(package, safe='/')}@{version}"


def normalize_path(path: str) -> str:
    """Undo the encoding of a scope's `@` and slash in a raw path; nothing else, and never twice (`%252f`)."""
    return _ENCODED_SCOPE.sub(r"@\1/", path)
