"""Where a request really came from, when trusted proxies stand in front of us.

`X-Forwarded-For` and `Forwarded` (RFC 7239) are lists that every hop may have written anything into. They are read from
right to left: the peer of the socket is known; what it reports is believed only if it is a trusted proxy, and so on.
From an untrusted peer every such header is ignored. When both lists are there and disagree, a proxy passed one through
that it does not write itself, so the address is unknown (empty), which lies in no network.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct
from multidict import MultiMapping

from gateway.errors import ConfigInvalid, Invalid

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_PAIR = re.compile(r'\s*([A-Za-z]+)=("[^"\\]*"|[^;,"\s]*)\s*\Z')
_MAX_LENGTH = 4096


class Client(Struct, frozen=True):
    """The client's address (empty: unknown), and the scheme and host that it used to reach the outermost proxy."""

    address: str
    scheme: str
    host: str


class _Hop(Struct, frozen=True):
    """What one proxy said about who spoke to it. Empty: not said, or not readable."""

    address: str = ""
    scheme: str = ""
    host: str = ""


class TrustedProxies:
    """The networks whose forwarding headers are believed; none believes nobody."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Read the networks; raises ConfigInvalid."""
        self._networks = tuple(_network(text) for text in networks)

    def trusts(self, address: str) -> bool:
        """Whether this address is one of our proxies."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def read(self, headers: MultiMapping[str], peer: str, scheme: str) -> Client:
        """The client behind a request whose socket has this peer and scheme; raises Invalid for a Host that is none."""
        host = _checked_host(headers.get("Host", ""))
        peer = _address(peer)
        if not self._networks or not self.trusts(peer):
            return Client(peer, scheme, host)
        found = [self._walk(hops) for hops in (_x_forwarded(headers), _forwarded(headers)) if hops]
        if not found:
            return Client(peer, *_heard(_x_only(headers), scheme, host))
        if len({hop.address for hop in found}) > 1:
            return Client("", scheme, host)
        return Client(found[0].address, *_heard(found[0], scheme, host))

    def _walk(self, hops: Sequence[_Hop]) -> _Hop:
        """What the outermost trusted proxy said. `hops` are in the order of the header."""
        for hop in reversed(hops):
            if not self.trusts(hop.address):
                return hop
        return hops[0]


def _x_forwarded(headers: MultiMapping[str]) -> list[_Hop]:
    """The hops of X-Forwarded-For, with the scheme and host that stand at the same place counted from the right."""
    addresses = _list(headers, "X-Forwarded-For")
    schemes, hosts = _list(headers, "X-Forwarded-Proto"), _list(headers, "X-Forwarded-Host")
    return [
        _Hop(_address(address), _from_right(schemes, place), _from_right(hosts, place))
        for place, address in zip(range(len(addresses), 0, -1), addresses, strict=True)
    ]


def _x_only(headers: MultiMapping[str]) -> _Hop:
    """What the nearest proxy said about scheme and host without naming its client."""
    schemes, hosts = _list(headers, "X-Forwarded-Proto"), _list(headers, "X-Forwarded-Host")
    return _Hop("", _from_right(schemes, 1), _from_right(hosts, 1))


def _from_right(values: Sequence[str], place: int) -> str:
    """The place-th value from the right; a shorter list was written once, by a proxy further out."""
    return values[-min(place, len(values))] if values else ""


def _list(headers: MultiMapping[str], name: str) -> list[str]:
    text = ",".join(headers.getall(name, ()))[-_MAX_LENGTH:]
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _forwarded(headers: MultiMapping[str]) -> list[_Hop]:
    text = ",".join(headers.getall("Forwarded", ()))
    if len(text) > _MAX_LENGTH or text.count('"') % 2:
        return [_Hop()]
    return [_element(part) for part in _split(text, ",") if part.strip()]


def _element(text: str) -> _Hop:
    """One `for=…;proto=…;host=…`; a pair that cannot be read makes the whole element unreadable."""
    found: dict[str, str] = {}
    for part in _split(text, ";"):
        if not part.strip():
            continue
        pair = _PAIR.match(part)
        if pair is None or pair[1].lower() in found:
            return _Hop()
        found[pair[1].lower()] = pair[2].strip('"')
    return _Hop(_address(found.get("for", "")), found.get("proto", ""), found.get("host", ""))


def _split(text: str, separator: str) -> list[str]:
    """Split outside of quotes. Addresses and hosts hold no backslash, so a quoted pair is left to be unreadable."""
    parts = [""]
    for index, piece in enumerate(text.split('"')):
        if index % 2:
            parts[-1] += f'"{piece}"'
            continue
        first, *rest = piece.split(separator)
        parts[-1] += first
        parts.extend(rest)
    return parts


def _heard(hop: _Hop, scheme: str, host: str) -> tuple[str, str]:
    """Scheme and host as a trusted proxy reported them, where they are ones."""
    said = hop.scheme.lower()
    return said if said in {"http", "https"} else scheme, hop.host.lower() if _HOST.match(hop.host) else host


def _address(text: str) -> str:
    """An address in its usual spelling, without port or brackets; empty for anything else (`unknown`, `_hidden`)."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or IPv6Address(int(found))  # a scope id is of no use to us
    return str(found)


def _checked_host(text: str) -> str:
    if text and not _HOST.match(text):
        raise Invalid("the Host header is not a host")
    return text.lower()


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigInvalid(f"server.trusted_proxies: not a network: {text[:80]!r}") from error
