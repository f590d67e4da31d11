"""What a conditional or partial request gets: a pure decision (RFC 9110 §13 preconditions, §14 ranges).

Several ranges in one request get the whole file, which §14.2 allows and every client understands; a lone first part
would be taken for all of them. Nothing here reads a file or writes a header.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from msgspec import Struct

_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_BOUNDS = re.compile(r"([0-9]*)\s*-\s*([0-9]*)")
_FAR = 10**18  # beyond any file; longer numbers are not even converted


class Portion(Struct, frozen=True):
    """What to answer: `status` 200, 206, 304, 412 or 416, and the bytes [start, end) for the first two.

    end: None where the size of the file is not known yet. size: the complete length, None likewise.
    """

    status: int
    start: int = 0
    end: int | None = 0
    size: int | None = None

    @property
    def length(self) -> int | None:
        """Content-Length, or None where it is not known yet."""
        return None if self.end is None else self.end - self.start

    @property
    def content_range(self) -> str | None:
        """The Content-Range header that this status needs, or None (RFC 9110 §14.4)."""
        if self.status == 206 and self.end is not None:
            return f"bytes {self.start}-{self.end - 1}/{self.size}"
        return f"bytes */{self.size}" if self.status == 416 else None


def choose(
    method: str, headers: Mapping[str, str], *, etag: str | None, size: int | None, modified: float | None = None
) -> Portion:
    """Judge the preconditions in the order of RFC 9110 §13.2.2, then the range.

    headers: looked up by their usual spelling, so a case-insensitive mapping. etag: with quotes, None for no validator.
    size: bytes, None while it is unknown; a range is ignored then. modified: POSIX seconds, where the answer carries
    Last-Modified; without it the date conditions are ignored, as §13.1.3 wants.
    """
    whole = Portion(200, 0, size, size)
    if_match = headers.get("If-Match")
    if if_match is not None:
        if not _names(if_match, etag, is_weak_enough=False):
            return Portion(412, size=size)
    elif modified is not None and _is_before(headers.get("If-Unmodified-Since"), modified):
        return Portion(412, size=size)
    if_none_match = headers.get("If-None-Match")
    if if_none_match is not None:
        if _names(if_none_match, etag, is_weak_enough=True):
            return Portion(304, size=size)
    elif modified is not None and _is_since(headers.get("If-Modified-Since"), modified):
        return Portion(304, size=size)
    wanted = headers.get("Range")
    # §14.2: a range means something for GET alone
    if wanted is None or size is None or method != "GET" or not _allows(headers.get("If-Range"), etag, modified):
        return whole
    return _portion(wanted, size) or whole


def _portion(wanted: str, size: int) -> Portion | None:
    """The part of a file that one range names; None for what is not understood, or names several parts."""
    unit, _, specs = wanted.partition("=")
    parts = [part.strip() for part in specs.split(",") if part.strip()]  # §5.6.1: empty elements do not count
    if unit.strip().lower() != "bytes" or len(parts) != 1:
        return None
    bounds = _BOUNDS.fullmatch(parts[0])
    if bounds is None or bounds[0] == "-":
        return None
    first, last = (None if not digits else _number(digits) for digits in bounds.groups())
    if first is None and last is None:
        return None
    if first is None:  # the last so many bytes; more than there are means all of them (§14.1.2)
        if last == 0:
            return Portion(416, size=size)
        return Portion(206, max(0, size - (last or 0)), size, size) if size else None
    if first >= size or (last is not None and last < first):  # OCI's conformance suite wants 416 for `500-0` too
        return Portion(416, size=size)
    return Portion(206, first, size if last is None else min(last + 1, size), size)


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= 18 else _FAR


def _names(condition: str, etag: str | None, *, is_weak_enough: bool) -> bool:
    """Whether a list of entity tags (or `*`) has ours; weak comparison only where that is enough (§8.8.3.2)."""
    if condition.strip() == "*":
        return True
    if etag is None:
        return False
    tags = _ENTITY_TAG.findall(condition)
    if is_weak_enough:
        return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}
    return not etag.startswith("W/") and etag in tags


def _allows(if_range: str | None, etag: str | None, modified: float | None) -> bool:
    """Whether If-Range lets the range through: absent, our strong entity tag, or exactly our date (§13.1.5)."""
    if if_range is None:
        return True
    condition = if_range.strip()
    if condition.startswith(('"', "W/")):
        return condition == etag and not condition.startswith("W/")
    return modified is not None and _date(condition) == int(modified)


def _is_before(condition: str | None, modified: float) -> bool:
    """Whether the file changed after the date of If-Unmodified-Since."""
    date = None if condition is None else _date(condition)
    return date is not None and date < int(modified)


def _is_since(condition: str | None, modified: float) -> bool:
    """Whether the file is no newer than the date of If-Modified-Since."""
    date = None if condition is None else _date(condition)
    return date is not None and int(modified) <= date


def _date(text: str) -> int | None:
    """POSIX seconds of an HTTP date; None for what is none, which is then ignored."""
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
