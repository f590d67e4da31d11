"""The one place where secrets are taken out of what people will read: access log, other logs, audit detail.

Request headers never come here, since nothing logs them. What does come are paths (some clients put a token into the
path), URLs of upstreams (some people put a password into them) and messages of errors. It must not raise.
"""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"

# Looked for first: nearly every text holds none of these, and then the expressions never run.
_MARKS = re.compile(r"ent_|ent%5|/token/|://|/-/ui/|/-/v1/|=")

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our own tokens, wherever they stand; `_` may come percent-encoded.
    (re.compile(r"ent(?:_|%5[fF])[0-9A-Za-z]{6,}"), "ent_" + HIDDEN),
    # npm logout: DELETE /-/user/token/TOKEN.
    (re.compile(r"(/-/user/token/)[^/?#\s\"']+"), r"\1" + HIDDEN),
    # What our own links carry: the first-start claim and the approval of an npm login.
    (re.compile(r"(/-/ui/(?:claim|login)/)[^/?#\s\"']+"), r"\1" + HIDDEN),
    (re.compile(r"(/-/v1/(?:done|login)/)[^/?#\s\"']+"), r"\1" + HIDDEN),
    # user:password@ in a URL (RFC 3986 §3.2.1).
    (re.compile(r"(://)[^/@\s\"']+@"), r"\1" + HIDDEN + "@"),
    # Secrets in a query, ours and those that clients and upstreams use.
    (
        re.compile(
            r"(?i)([?&](?:[a-z0-9_.-]*(?:token|password|secret|signature|api_?key|sessionid|authid)|code|sig)=)[^&#\s\"']+"
        ),
        r"\1" + HIDDEN,
    ),
)
_SECRET_NAMES = re.compile(
    r"(?i)authorization|cookie|password|passwd|secret|api_?key|\btokens?\b|_token\b|\bcredentials?\b"
)


def scrub(text: str) -> str:
    """The text without the secrets that we know how to recognise; the same object when there are none."""
    if _MARKS.search(text) is None:
        return text
    for rule, replacement in _RULES:
        text = rule.sub(replacement, text)
    return text


def scrub_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with secrets hidden: by the name of the key, and inside texts at any depth."""
    return {key: HIDDEN if _is_secret(key, value) else _scrub_value(value) for key, value in values.items()}


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, str | bytes) and _SECRET_NAMES.search(key) is not None


def _scrub_value(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return scrub_values({str(key): item for key, item in value.items()})
    if isinstance(value, list | tuple):
        return [_scrub_value(item) for item in value]
    return value
