"""Which addresses may be asked, and where a redirect may lead. Pure: URLs in, URLs or UpstreamTrouble out.

An upstream's documents and redirects are written by strangers. They may name only the hosts that are configured for
that upstream, over http(s), without userinfo, and never step down from https to http; so none of them can aim us at a
machine inside our own network. Credentials belong to one origin (RFC 6454): scheme, host and port of the base URL.
"""

import re

from msgspec import Struct
from yarl import URL

from gateway.errors import UpstreamTrouble

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_PLAIN = re.compile(r"[!-\[\]-~]+\Z")  # printable ASCII without the backslash, which some parsers read as a slash
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Bounds(Struct, frozen=True):
    """What the upstream `name` may be asked for. `hosts` holds its own, too."""

    name: str
    base: URL
    hosts: frozenset[str]


def parse_address(text: str) -> URL:
    """An absolute http(s) URL, byte for byte as written (a signed query must survive); raises ValueError."""
    url = URL(text, encoded=True) if _PLAIN.match(text) else URL(_without_controls(text))
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        raise ValueError("not an http(s) address")
    if url.user is not None or url.password is not None:
        raise ValueError("an address with userinfo")
    return url.with_fragment(None) if url.raw_fragment else url


def authority(url: URL) -> str:
    """`host`, or `host:port` where the port is not the scheme's own; lower case, IPv6 in brackets."""
    host = (url.host_subcomponent or "").lower()
    return host if url.port == _DEFAULT_PORTS.get(url.scheme) else f"{host}:{url.port}"


def is_permitted_host(url: URL, hosts: frozenset[str]) -> bool:
    """Whether `hosts` names this URL's host: as `host` for a default port, as `host:port` for exactly that one."""
    return authority(url) in hosts or f"{(url.host_subcomponent or '').lower()}:{url.port}" in hosts


def checked_address(text: str, bounds: Bounds) -> URL:
    """The URL in a document, if it may be asked; raises UpstreamTrouble."""
    try:
        url = parse_address(text)
    except ValueError as error:
        raise UpstreamTrouble(f"{bounds.name} names an address that cannot be asked") from error
    return _permitted(url, bounds.base, bounds)


def next_address(current: URL, location: str | None, bounds: Bounds) -> URL:
    """Where a redirect from `current` leads, if it may be followed; raises UpstreamTrouble."""
    if not location:
        raise UpstreamTrouble(f"{bounds.name} redirects to nowhere")
    try:
        relative = URL(location, encoded=True) if _PLAIN.match(location) else URL(_without_controls(location))
        url = parse_address(str(current.join(relative)))
    except ValueError as error:
        raise UpstreamTrouble(f"{bounds.name} redirects to an address that cannot be asked") from error
    return _permitted(url, current, bounds)


def is_same_origin(url: URL, base: URL) -> bool:
    """Whether credentials for `base` may go to `url`: same scheme, host and port."""
    return (url.scheme, authority(url)) == (base.scheme, authority(base))


def _without_controls(text: str) -> str:
    if "\\" in text or any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in text):
        raise ValueError("control characters or a backslash in an address")
    return text


def _permitted(url: URL, current: URL, bounds: Bounds) -> URL:
    if url.scheme == "http" and "https" in {current.scheme, bounds.base.scheme}:
        raise UpstreamTrouble(f"{bounds.name} leads from https to http", host=authority(url))
    if not is_permitted_host(url, bounds.hosts):
        raise UpstreamTrouble(f"{bounds.name} leads elsewhere: {authority(url)} is not one of its hosts")
    return url
