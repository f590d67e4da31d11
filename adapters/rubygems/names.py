"""Names, versions and platforms of gems: validate and compare, nothing else (no I/O, no guessing).

A gem's name has one spelling, and registries tell names apart by case; so the canonical name is the name itself. What
must not differ by case alone meets at its `gate`. Versions compare as Gem::Version has it.
"""

import re
from functools import lru_cache

from msgspec import Struct

from gateway.errors import Invalid

RUBY = "ruby"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}\Z")
_VERSION = re.compile(r"[0-9]+(?:\.[0-9a-zA-Z]+)*\Z")
_PLATFORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_FINAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})*\Z")
_LETTER = re.compile(r"[a-zA-Z]")
_SEGMENT = re.compile(r"[0-9]+|[a-zA-Z]+")
_RESERVED_ENDINGS = (".gem", ".json", ".html", ".gemspec", ".rz", ".yaml")
_LONGEST_VERSION = 200

Segment = tuple[int, int | str]


class GemName(Struct, frozen=True):
    """What a file's name says: name, version and platform (`ruby` where it names none)."""

    name: str
    version: str
    platform: str

    @property
    def label(self) -> str:
        return label_of(self.version, self.platform)


def is_name(text: str) -> bool:
    """Whether this can be a gem's name at all; old gems have names that nobody may publish today."""
    return _NAME.match(text) is not None and ".." not in text


def normalize(text: str) -> str:
    """The name; raises Invalid for what is none."""
    if not is_name(text):
        raise Invalid(f"not a valid name for a gem: {text[:80]!r}")
    return text


def normalize_path(path: str) -> str:
    """Take back the second slash before `api/` in a raw path: gem adds one to a `--host` that ends with one."""
    return path[1:] if path.startswith("/api/") else path


def gate(name: str) -> str:
    """What all spellings of a name have in common: registries refuse names that differ by case only."""
    return name.lower()


def check_publishable(name: str) -> None:
    """Raise Invalid unless a gem of this name may be published."""
    if not is_name(name):
        raise Invalid(f"{name[:80]!r} is not a valid name for a gem")
    if not any(letter.isalpha() for letter in name):
        raise Invalid(f"the name {name[:80]!r} must have a letter in it")
    if name[0] in ".-_" or name[-1] in ".-_":
        raise Invalid(f"the name {name[:80]!r} may not begin or end with '.', '-' or '_'")
    if name.lower().endswith(_RESERVED_ENDINGS):
        raise Invalid(f"the name {name[:80]!r} looks like a file's")


def is_version(text: str) -> bool:
    """Whether this is a version without a dash, which would end it in a file's name."""
    return len(text) <= _LONGEST_VERSION and _VERSION.match(text) is not None


def is_platform(text: str) -> bool:
    return _PLATFORM.match(text) is not None


def is_prerelease(version: str) -> bool:
    """Whether a version has a letter."""
    return _LETTER.search(version) is not None


@lru_cache(maxsize=65536)
def version_key(version: str) -> tuple[Segment, ...]:
    """Sorts as Gem::Version: numbers above letters, trailing zeros without weight; equal exactly for equal versions."""
    segments: list[Segment] = [
        (1, int(part)) if part.isdigit() else (0, part) for part in _SEGMENT.findall(version[:_LONGEST_VERSION])
    ]
    first = next((i for i, (kind, _) in enumerate(segments) if kind == 0), len(segments))
    return (*_without_zeros(segments[:first]), *_without_zeros(segments[first:]), (1, 0))


def _without_zeros(segments: list[Segment]) -> list[Segment]:
    while segments and segments[-1] == (1, 0):
        segments.pop()
    return segments


def is_final(version: str) -> bool:
    """Whether this is a version without a letter."""
    return _FINAL.match(version) is not None


def number_key(version: str) -> tuple[int, ...]:
    """Sorts versions without letters as `version_key`, but that equal ones may differ; for many of them."""
    return tuple(map(int, version.split(".")))


def label_of(version: str, platform: str) -> str:
    """`1.0`, or `1.0-java` for another platform than Ruby itself."""
    return version if platform == RUBY else f"{version}-{platform}"


def split_label(label: str) -> tuple[str, str]:
    """Version and platform of a label."""
    version, _, platform = label.partition("-")
    return version, platform or RUBY


def label_key(version: str, platform: str) -> tuple[tuple[Segment, ...], str]:
    """Equal for labels of which only one may be published: equal versions for one platform, whatever the case."""
    return version_key(version.lower()), platform.lower()


def filename(name: str, version: str, platform: str) -> str:
    return f"{name}-{label_of(version, platform)}.gem"


def readings(full: str) -> list[GemName]:
    """Everything that `NAME-VERSION[-PLATFORM]` may mean, shortest name first: names may have dashes and digits."""
    found: list[GemName] = []
    cut = full.find("-")
    while cut > 0:
        version, _, platform = full[cut + 1 :].partition("-")
        if is_name(full[:cut]) and is_version(version) and (not platform or is_platform(platform)):
            found.append(GemName(full[:cut], version, platform or RUBY))
        cut = full.find("-", cut + 1)
    return found
