"""The order of Maven's versions. Pure.

It is the order of Maven 3's own `ComparableVersion` (POM reference, "Version Order Specification"), which is neither
semantic versioning nor text: a version is a tree of numbers and words, split at `.`, `-` and between digits and
letters; known words (`alpha` … `sp`) have places of their own, and zeros and empty words at an end do not count.
"""

import re
from collections.abc import Iterable
from functools import cmp_to_key, lru_cache
from typing import TypeAlias

_WORDS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
_ALIASES = {"ga": "", "final": "", "release": "", "cr": "rc"}
_BEFORE_DIGIT = {"a": "alpha", "b": "beta", "m": "milestone"}
_PLACE_OF_RELEASE = str(_WORDS.index(""))
_LONGEST = 256

# A number, a word, or a sub-version.
Item: TypeAlias = "int | str | list[Item]"

SNAPSHOT = "-SNAPSHOT"
_STAMPED = re.compile(r".+-[0-9]{8}\.[0-9]{6}-[0-9]{1,9}\Z")


def is_snapshot(version: str) -> bool:
    """Whether the version is a movable one."""
    return version.endswith("SNAPSHOT") or _STAMPED.match(version) is not None


def ordered(versions: Iterable[str]) -> list[str]:
    """The versions, oldest first; equal ones in the order of their text."""
    return sorted(sorted(set(versions)), key=cmp_to_key(compare))


def compare(one: str, other: str) -> int:
    """Below 0, 0 or above 0, as `one` is older than, the same as or newer than `other`."""
    return _compare(_parsed(one), _parsed(other))


@lru_cache(maxsize=65536)
def _parsed(version: str) -> list[Item]:
    parser = _Parser(version[:_LONGEST].lower())
    parser.read()
    for found in reversed(parser.lists):
        _normalize(found)
    return parser.lists[0]


class _Parser:
    """One pass over a version; every `-`, and every change between digits and letters, opens a sub-version."""

    def __init__(self, text: str) -> None:
        self.lists: list[list[Item]] = [[]]
        self._text = text
        self._start = 0
        self._is_digit = False

    def read(self) -> None:
        for i, letter in enumerate(self._text):
            if letter in ".-":
                self._close(i)
                self._start = i + 1
                if letter == "-":
                    self._nest()
                continue
            is_digit = "0" <= letter <= "9"
            if is_digit is not self._is_digit and i > self._start:
                self._close(i, before_digit=is_digit)
                self._start = i
                self._nest()
            self._is_digit = is_digit
        if len(self._text) > self._start:
            self._close(len(self._text))

    def _close(self, end: int, *, before_digit: bool = False) -> None:
        text = self._text[self._start : end]
        if not text:
            self.lists[-1].append(0)
        elif self._is_digit:
            self.lists[-1].append(int(text))
        else:
            if self.lists[-1] and (before_digit or end == len(self._text)):
                self._nest()  # `1.x` and `1.x1` count as `1-x` and `1-x1`
            word = _BEFORE_DIGIT.get(text, text) if before_digit else text
            self.lists[-1].append(_ALIASES.get(word, word))

    def _nest(self) -> None:
        inner: list[Item] = []
        self.lists[-1].append(inner)
        self.lists.append(inner)


def _normalize(items: list[Item]) -> None:
    """Drop what does not count at the end: zeros, empty words, empty sub-versions, and all of these before one."""
    for i in range(len(items) - 1, -1, -1):
        if items[i] in (0, "", []):
            del items[i]
        elif not isinstance(items[i], list):
            return


def _place(word: str) -> str:
    return str(_WORDS.index(word)) if word in _WORDS else f"{len(_WORDS)}-{word}"


def _compare(one: Item, other: Item) -> int:
    if isinstance(one, list) and isinstance(other, list):
        return _compare_lists(one, other)
    if isinstance(one, int) and isinstance(other, int):
        return (one > other) - (one < other)
    if isinstance(one, str) and isinstance(other, str):
        return _compare_words(_place(one), _place(other))
    return _rank(one) - _rank(other)


def _compare_lists(one: list[Item], other: list[Item]) -> int:
    for i in range(max(len(one), len(other))):
        if i >= len(one):
            found = -_against_nothing(other[i])
        elif i >= len(other):
            found = _against_nothing(one[i])
        else:
            found = _compare(one[i], other[i])
        if found:
            return found
    return 0


def _rank(item: Item) -> int:
    """Of different kinds: a number is above a sub-version, and that above a word."""
    return 2 if isinstance(item, int) else 1 if isinstance(item, list) else 0


def _against_nothing(item: Item) -> int:
    """An item where the other version has come to its end: only what says something makes a difference."""
    if isinstance(item, int):
        return 1 if item else 0
    if isinstance(item, list):
        return next((found for inner in item if (found := _against_nothing(inner))), 0)
    return _compare_words(_place(item), _PLACE_OF_RELEASE)


def _compare_words(one: str, other: str) -> int:
    return (one > other) - (one < other)
