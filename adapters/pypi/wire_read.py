"""Reads an upstream's simple page, JSON or HTML, into a listing that can be trusted to be well formed.

One bad entry costs that entry, never the page: uv refuses a whole page for one bad digest, so nothing of the kind may
pass. An entry goes when its name is not a wheel or sdist of this package, when a digest is malformed, or when its URL
leaves the upstream's own hosts. Simple repository API; nothing here does I/O.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import msgspec
from msgspec import Struct, field

from adapters.pypi import names
from adapters.pypi.wire_html import HtmlPage, read_html
from gateway.errors import UpstreamCorrupt
from gateway.format import Document
from gateway.model import File, Listing, is_hash

STATUSES = ("active", "archived", "quarantined", "deprecated")

_ALGORITHMS = ("sha256", "sha512", "sha384", "sha1", "md5", "blake2b_256")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z\Z", re.ASCII)
_PORTS = {"https": 443, "http": 80}
_MAX_SIZE = 2**53


class _Entry(msgspec.Struct, rename="kebab"):
    """One element of `files`. Everything that an upstream may get wrong is Any, and judged afterwards."""

    filename: str
    url: str
    hashes: Any = None
    requires_python: Any = None
    size: Any = None
    upload_time: Any = None
    yanked: Any = False
    core_metadata: Any = None
    data_dist_info_metadata: Any = None
    dist_info_metadata: Any = None
    provenance: Any = None
    gpg_sig: Any = None


class _Page(msgspec.Struct, rename="kebab"):
    files: list[_Entry]
    meta: Any = None
    project_status: Any = None


class _LoosePage(msgspec.Struct, rename="kebab"):
    """The same page, read entry by entry because one of them is no object or lacks a key."""

    files: list[msgspec.Raw]
    meta: Any = None
    project_status: Any = None


_PAGE = msgspec.json.Decoder(_Page)
_LOOSE_PAGE = msgspec.json.Decoder(_LoosePage)
_ENTRY = msgspec.json.Decoder(_Entry)


def read_page(package: str, document: Document, origin: str, hosts: frozenset[str]) -> Listing:
    """The listing in a simple page; raises UpstreamCorrupt if the document is none.

    facts: `status` and `reason` (PEP 792), `serial`; each only where the upstream gave a valid one.
    """
    context = _Context(package, origin, document.url, hosts)
    start = document.body[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    entries: Iterable[_Entry]
    if start == b"{":
        entries, facts = _read_json(document)
    elif start == b"<":
        page = read_html(document.body.decode("utf-8", "replace"))
        if page.base is not None:
            context.base = _join(document.url, page.base) or document.url
        entries, facts = _entries_of_html(page), _facts_of_html(page)
    else:
        raise UpstreamCorrupt("expected a simple page, got neither JSON nor HTML", url=document.url)
    files = {file.filename: file for entry in entries if (file := context.file(entry)) is not None}
    if start == b"<" and not files and "status" not in facts and not facts.pop("is_simple", False):
        # A login form or an error page that says 200 must not look like a package without files.
        raise UpstreamCorrupt("expected a simple page, got HTML without any of its files", url=document.url)
    if not files and (elsewhere := sorted(where for where, is_ours in context.seen.items() if not is_ours)):
        raise UpstreamCorrupt(f"all files are on {elsewhere[0]}, which this upstream's `hosts` does not list")
    facts.pop("is_simple", None)
    listed = () if facts.get("status") == "quarantined" else tuple(files.values())
    return Listing(package, listed, facts)


def _read_json(document: Document) -> tuple[list[_Entry], dict[str, Any]]:
    page: _Page | _LoosePage
    try:
        page = _PAGE.decode(document.body)
        entries = page.files
    except msgspec.ValidationError:
        page, entries = _read_loose(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("expected a simple page, got broken JSON", url=document.url) from error
    facts = _status_facts(page.project_status)
    serial = page.meta.get("_last-serial") if isinstance(page.meta, dict) else None
    if isinstance(serial, int) and not isinstance(serial, bool) and 0 <= serial < _MAX_SIZE:
        facts["serial"] = serial
    return entries, facts


def _read_loose(document: Document) -> tuple[_LoosePage, list[_Entry]]:
    try:
        page = _LOOSE_PAGE.decode(document.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("expected a simple page, got other JSON", url=document.url) from error
    entries = []
    for raw in page.files:
        try:
            entries.append(_ENTRY.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return page, entries


def _status_facts(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.get("status") not in STATUSES:
        return {}
    facts: dict[str, Any] = {"status": value["status"]}
    reason = clean_line(value.get("reason"))
    if reason:
        facts["reason"] = reason
    return facts


def _facts_of_html(page: HtmlPage) -> dict[str, Any]:
    """As for JSON; `is_simple` says that the page declares itself one."""
    status = {"status": page.metas.get("pypi:project-status"), "reason": page.metas.get("pypi:project-status-reason")}
    return _status_facts(status) | {"is_simple": "pypi:repository-version" in page.metas}


def _entries_of_html(page: HtmlPage) -> Iterator[_Entry]:
    for attributes in page.anchors:
        url, _, fragment = attributes["href"].strip().partition("#")
        algorithm, _, value = fragment.partition("&")[0].partition("=")
        yield _Entry(
            filename=unquote(url.partition("?")[0].rpartition("/")[2]),
            url=url,
            hashes={algorithm: value} if algorithm in _ALGORITHMS else {},
            requires_python=attributes.get("data-requires-python"),
            yanked=attributes["data-yanked"].strip() or True if "data-yanked" in attributes else False,
            core_metadata=_html_metadata(attributes.get("data-core-metadata")),
            data_dist_info_metadata=_html_metadata(attributes.get("data-dist-info-metadata")),
            provenance=attributes.get("data-provenance"),
            gpg_sig=attributes.get("data-gpg-sig") == "true",
        )


def _html_metadata(value: str | None) -> Any:
    algorithm, _, digest = (value or "").partition("=")
    if digest:
        return {algorithm.strip(): digest.strip()}
    return algorithm.strip().lower() == "true"


class _Context(Struct):
    """What is the same for all entries of one page. `seen`: scheme and authority → whether a file may come from it."""

    package: str
    origin: str
    base: str
    hosts: frozenset[str]
    seen: dict[str, bool] = field(default_factory=dict)

    def file(self, entry: _Entry) -> File | None:
        """The file that an entry describes, or None where it cannot be true."""
        version = names.version_of(entry.filename, self.package)
        if version is None:
            return None
        hashes = _hashes(entry.hashes)
        url = self._url(entry.url)
        if hashes is None or url is None:
            return None
        size = entry.size
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _MAX_SIZE:
            size = None
        return File(
            entry.filename, version, hashes, size, _time(entry.upload_time), url, self.origin, self._facts(entry)
        )

    def _facts(self, entry: _Entry) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if entry.requires_python and (requires := clean_line(entry.requires_python)):
            facts["requires_python"] = requires
        if entry.yanked is not False and entry.yanked is not None:
            facts["yanked"] = clean_line(entry.yanked) or True
        metadata = entry.core_metadata or entry.data_dist_info_metadata or entry.dist_info_metadata
        if isinstance(metadata, dict):
            digest = metadata.get("sha256")
            if isinstance(digest, str) and _SHA256.match(digest):
                facts["metadata_sha256"] = digest
            elif digest is None and metadata:
                facts["has_metadata"] = True
        elif metadata is True:
            facts["has_metadata"] = True
        if entry.provenance and isinstance(entry.provenance, str) and (url := self._url(entry.provenance)) is not None:
            facts["provenance"] = url
        if entry.gpg_sig is True:
            facts["gpg_sig"] = True
        return facts

    def _url(self, text: str) -> str | None:
        """The absolute URL without fragment, or None unless it is http(s) on one of the upstream's hosts."""
        if not text.startswith(("https://", "http://")):
            joined = _join(self.base, text)
            if joined is None:
                return None
            text = joined
        if "#" in text:
            text = text.partition("#")[0]
        if not text.isascii() or not text.isprintable() or " " in text:
            text = quote(text, safe=":/?#[]@!$&'()*+,;=%~-._")
        slash = text.find("/", text.find("//") + 2)
        if slash < 0:
            return None
        authority = text[:slash]
        allowed = self.seen.get(authority)
        if allowed is None:
            allowed = self.seen[authority] = is_allowed(authority, self.hosts, self.base)
        return text if allowed else None


def is_allowed(authority: str, hosts: frozenset[str], base: str) -> bool:
    """Whether `scheme://host[:port]` is http(s) without user info on one of `hosts`, or where `base` came from."""
    try:
        split, own = urlsplit(authority), urlsplit(base)
        port, own_port = split.port or _PORTS.get(split.scheme), own.port or _PORTS.get(own.scheme)
    except ValueError:
        return False
    if split.scheme not in _PORTS or not split.hostname or "@" in split.netloc or "\\" in split.netloc:
        return False
    if split.scheme == "http" and own.scheme == "https":
        return False
    if (split.hostname, port) == (own.hostname, own_port):
        return True
    if f"{split.hostname}:{port}" in hosts:
        return True
    return port == _PORTS[split.scheme] and split.hostname in hosts


def _join(base: str, url: str) -> str | None:
    try:
        joined = urljoin(base, url)
    except ValueError:
        return None
    return joined if joined.startswith(("https://", "http://")) else None


def _hashes(value: Any) -> Mapping[str, str] | None:
    """The digests of algorithms that we know, in lower case; None if one of them is malformed."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return None
    found: dict[str, str] = {}
    for algorithm, digest in value.items():
        if algorithm == "sha256" and isinstance(digest, str) and _SHA256.match(digest):
            found[algorithm] = digest
        elif algorithm in _ALGORITHMS:
            if not isinstance(digest, str) or not is_hash(algorithm, digest := digest.lower()):
                return None
            found[algorithm] = digest
    return found


def _time(value: Any) -> str | None:
    """RFC 3339 with `Z`, unchanged where it is that already; None for what has no offset or is no time."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if _ZULU.match(value):
            return value
        if moment.tzinfo is None:
            return None
        return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except (ValueError, OverflowError):
        return None


def clean_line(value: Any, limit: int = 5000) -> str:
    """One printable line of what an upstream or client wrote; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    if not value.isprintable():
        value = "".join(c if c.isprintable() else " " for c in value)
    return " ".join(value.split())[:limit]
