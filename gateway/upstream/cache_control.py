"""What an answer's headers say about time: how long it is fresh, and when to come back. Pure.

RFC 9111 §4.2 (freshness lifetime, from Cache-Control, Expires and Age) and RFC 9110 §10.2.3 (Retry-After).
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_AGE = 86400.0  # no upstream can keep us from asking again for more than a day

_AGAIN_AT_ONCE = frozenset({"no-store", "no-cache"})


def max_age(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds for which the answer stays fresh from `now` (POSIX seconds); None when it does not say.

    `s-maxage` wins over `max-age`, both over Expires; the seconds it already spent in other caches (Age) are taken off.
    A number that cannot be read counts as 0 (RFC 9111 §4.2.1).
    """
    directives = parse_directives(headers.get("Cache-Control", ""))
    if _AGAIN_AT_ONCE & directives.keys():
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _bounded(_seconds(directives[name]) - _seconds(headers.get("Age", "0")))
    if "Expires" in headers:
        expires = _date(headers["Expires"])
        return 0.0 if expires is None else _bounded(expires - (_date(headers.get("Date", "")) or now))
    return None


def parse_directives(text: str) -> dict[str, str]:
    """`a, b=1, c="x"` as lower-case names with their values, `""` for those without; the first of a name wins."""
    directives: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip():
            directives.setdefault(name.strip().lower(), value.strip().strip('"'))
    return directives


def retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait, from Retry-After as seconds or as an HTTP date; None when absent or unreadable."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    moment = _date(text)
    return None if moment is None else max(0.0, moment - now)


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_AGE)


def _seconds(text: str) -> float:
    text = text.strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else 0.0


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
