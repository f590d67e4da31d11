"""Reads the anchors, base and metas out of an upstream's HTML simple page. Never forwards any of its markup.

Not a browser: it finds start tags and their attributes in one pass that is linear in the page, whatever the page
contains (the standard library's parser raises or slows down on hostile input). Simple repository API, "Base HTML API".
"""

import html
import re
from collections.abc import Iterator

from msgspec import Struct, field

_MARK = re.compile(r"<!--|<(a|base|meta|script|style)(?=[\s/>])", re.IGNORECASE)
_SPACE = re.compile(r"[\s/]*")
_ATTRIBUTE = re.compile(r"[^\s/>=\"'][^\s/>=]*")
_EQUALS = re.compile(r"\s*=\s*")
_BARE = re.compile(r"[^\s>]*")


class HtmlPage(Struct):
    """The attributes of every anchor that has an `href`; the first `<base href>`; `pypi:` metas by name."""

    anchors: list[dict[str, str]] = field(default_factory=list)
    base: str | None = None
    metas: dict[str, str] = field(default_factory=dict)


def read_html(text: str) -> HtmlPage:
    """Read a page; never raises."""
    page = HtmlPage()
    for tag, attributes in _tags(text):
        if tag == "a" and attributes.get("href", "").strip():
            page.anchors.append(attributes)
        elif tag == "base" and page.base is None and attributes.get("href", "").strip():
            page.base = attributes["href"].strip()
        elif tag == "meta" and attributes.get("name", "").startswith("pypi:"):
            page.metas.setdefault(attributes["name"], attributes.get("content", ""))
    return page


def _tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Start tags in order, skipping comments and the insides of script and style; stops where one never ends."""
    at = 0
    while (mark := _MARK.search(text, at)) is not None:
        if mark[1] is None:
            end = text.find("-->", mark.end())
            if end < 0:
                return
            at = end + 3
            continue
        tag = mark[1].lower()
        attributes: dict[str, str] = {}
        at = _attributes(text, mark.end(), attributes)
        if at < 0:
            return
        if tag in {"script", "style"}:
            closing = re.compile(rf"</{tag}", re.IGNORECASE).search(text, at)
            if closing is None:
                return
            at = closing.end()
        else:
            yield tag, attributes


def _attributes(text: str, at: int, into: dict[str, str]) -> int:
    """Read attributes up to `>`; the position after it, or -1 if the tag never ends. The first of two equals wins."""
    while True:
        at = _end(_SPACE, text, at)
        if at >= len(text):
            return -1
        if text[at] == ">":
            return at + 1
        name = _ATTRIBUTE.match(text, at)
        if name is None:
            at += 1  # a stray quote or equals sign
            continue
        at, value = name.end(), ""
        equals = _EQUALS.match(text, at)
        if equals is not None:
            at, value = _value(text, equals.end())
            if at < 0:
                return -1
        into.setdefault(name[0].lower(), _unescape(value))


def _value(text: str, at: int) -> tuple[int, str]:
    """An attribute's value and the position after it; -1 if its quote is never closed."""
    quote = text[at : at + 1]
    if quote in {'"', "'"}:
        end = text.find(quote, at + 1)
        return (-1, "") if end < 0 else (end + 1, text[at + 1 : end])
    end = _end(_BARE, text, at)
    return end, text[at:end]


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def _unescape(value: str) -> str:
    try:
        return html.unescape(value)
    except ValueError:  # a character reference with more digits than int() takes
        return ""
