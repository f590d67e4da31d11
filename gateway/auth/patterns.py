"""Patterns and names that people give to tokens and grants, checked before they are stored. Pure."""

import re
from collections.abc import Iterable

from gateway.auth.access import check_cidr
from gateway.errors import Invalid

_SEGMENT = re.compile(r"[A-Za-z0-9._*-]{1,100}\Z")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}\Z")
_MAX_ENTRIES = 100


def check_repository_pattern(text: str) -> str:
    """`*`, or `type/owner/name` where `*` stands for any characters within a segment; raises Invalid."""
    if text == "*":
        return text
    parts = text.split("/")
    if len(parts) != 3 or not all(_SEGMENT.match(part) for part in parts):
        raise Invalid(f"expected type/owner/repository with wildcards, or *, got {text[:80]!r}")
    return text


def check_package_pattern(text: str) -> str:
    """A pattern of canonical package names; raises Invalid."""
    if not 1 <= len(text) <= 300 or not text.isprintable() or " " in text:
        raise Invalid(f"not a pattern for packages: {text[:80]!r}")
    return text


def check_patterns(
    repositories: Iterable[str], packages: Iterable[str], cidrs: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """All of a token's narrowing, each entry once; raises Invalid."""
    checked = (
        tuple(dict.fromkeys(check_repository_pattern(text) for text in repositories)),
        tuple(dict.fromkeys(check_package_pattern(text) for text in packages)),
        tuple(dict.fromkeys(check_cidr(text) for text in cidrs)),
    )
    if any(len(entries) > _MAX_ENTRIES for entries in checked):
        raise Invalid(f"a token has at most {_MAX_ENTRIES} entries of a kind")
    return checked


def check_label(text: str) -> str:
    """A name that only people read; raises Invalid."""
    text = text.strip()
    if not 1 <= len(text) <= 100 or not text.isprintable():
        raise Invalid("a name has 1 to 100 printable characters")
    return text


def check_email(text: str | None) -> str | None:
    """An address that could be one, or None; raises Invalid."""
    if text and not _EMAIL.match(text):
        raise Invalid("not an e-mail address")
    return text or None
