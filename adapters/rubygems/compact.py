"""The compact index: lines of `/info/NAME` and of `/versions`, exact to the byte. Pure.

Lines of an upstream are checked and kept as they are, since some are written in ways that nobody would write today;
ours are sorted and spaced as the registry does (RubyGems guides, "Compact index API").
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urljoin

from adapters.rubygems import names
from adapters.rubygems.spec import Clause, Spec
from gateway.errors import UpstreamCorrupt
from gateway.format import Ask, Document
from gateway.model import File, Listing, is_hash
from gateway.roster.format import Entry

EMPTY = b"---\n"
TEXT = "text/plain; charset=utf-8"

_MOST_VERSIONS = 100_000
_LABEL = re.compile(r"-?[0-9][0-9A-Za-z._-]{0,250}\Z")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_CREATED_AT = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](?:\.[0-9]{1,9})?Z\Z")


# ── /info/NAME ───────────────────────────────────────────────────────────────────────────────────────────────────
def info_line(spec: Spec, sha256: str) -> str:
    """A version's line, without `created_at` and without its end."""
    runtime = sorted((one for one in spec.dependencies if one.is_runtime), key=lambda one: one.name)
    dependencies = ",".join(f"{one.name}:{_joined(one.clauses)}" for one in runtime)
    requirements = [f"checksum:{sha256}"]
    if not _is_any(spec.required_ruby):
        requirements.append(f"ruby:{_joined(spec.required_ruby)}")
    if not _is_any(spec.required_rubygems):
        requirements.append(f"rubygems:{_joined(spec.required_rubygems)}")
    return f"{names.label_of(spec.version, spec.platform)} {dependencies}|{','.join(requirements)}"


def _joined(clauses: tuple[Clause, ...]) -> str:
    return "&".join(sorted(f"{one.operator} {one.version}" for one in clauses)) or ">= 0"


def _is_any(clauses: tuple[Clause, ...]) -> bool:
    return all(one.operator == ">=" and one.version == "0" for one in clauses)


def render_info(listing: Listing, settings: Mapping[str, Any]) -> bytes:
    """`/info/NAME`. settings: of the repository; `created_at` false leaves it out of our own lines."""
    is_dated = bool(settings.get("created_at", True))
    lines = [_shown_line(file, is_dated=is_dated) for file in listing.files]
    return "\n".join(["---", *lines, ""]).encode()


def _shown_line(file: File, *, is_dated: bool) -> str:
    line = str(file.facts["line"])
    return f"{line},created_at:{file.uploaded_at}" if file.url is None and is_dated and file.uploaded_at else line


def read_info(package: str, document: Document, origin: str) -> Listing:
    """An upstream's `/info/NAME`; lines without a checksum are dropped, since nothing could be verified by them."""
    body = document.body
    if not body.startswith(b"---\n"):
        raise UpstreamCorrupt(f"{origin} sent no compact index for {package}")
    if not body.endswith(b"\n"):
        raise UpstreamCorrupt(f"the compact index of {package} breaks off")
    try:
        lines = body[4:].decode().split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise UpstreamCorrupt(f"the compact index of {package} is not UTF-8") from error
    if len(lines) > _MOST_VERSIONS:
        raise UpstreamCorrupt(f"the compact index of {package} has {len(lines)} lines")
    base = urljoin(document.url, "../gems/")
    found: dict[str, File] = {}
    for line in lines:
        file = _read_line(package, line, base, origin)
        if file is not None:
            found[file.filename] = file
    is_rewritten = len(found) != len(lines)
    return Listing(package, tuple(found.values()), {"is_rewritten": is_rewritten})


def _read_line(package: str, line: str, base: str, origin: str) -> File | None:
    head, bar, tail = line.partition("|")
    label, space, dependencies = head.partition(" ")
    version, platform = names.split_label(label)
    if not bar or not space or not line.isprintable() or not names.is_version(version):
        return None
    if platform != names.RUBY and not names.is_platform(platform):
        return None
    said = dict(part.partition(":")[::2] for part in tail.split(","))
    checksum = said.get("checksum", "")
    if not is_hash("sha256", checksum):
        return None
    created_at = said.get("created_at")
    filename = f"{package}-{label}.gem"
    return File(
        filename,
        version,
        {"sha256": checksum},
        uploaded_at=created_at if created_at and _CREATED_AT.match(created_at) else None,
        url=base + quote(filename),
        origin=origin,
        facts={"line": line, "platform": platform, "dependencies": dependencies},
    )


def info_headers(body: bytes) -> tuple[tuple[str, str], ...]:
    """The digests of a whole document, as a client checks what it put together from parts."""
    return digest_headers(hashlib.sha256(body).digest())


def digest_headers(sha256: bytes) -> tuple[tuple[str, str], ...]:
    """RFC 9530 §3 and its deprecated predecessor, which Bundler before 2.6 reads."""
    text = base64.b64encode(sha256).decode()
    return (("Repr-Digest", f"sha-256=:{text}:"), ("Digest", f"sha-256={text}"))


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


# ── /versions and /names ─────────────────────────────────────────────────────────────────────────────────────────
class Versions:
    """`/versions` as a list of all names (`gateway.roster`): the last md5 of a name is that of its `/info`."""

    name = "versions"

    def ask(self) -> Ask:
        return Ask("versions", grows=True)

    def check(self, document: Document) -> bool:
        """Raise UpstreamCorrupt for a file that breaks off or is none; whether a digest proved it."""
        body = document.body
        if not body.startswith(b"created_at: ") or b"\n---\n" not in body[:200] or not body.endswith(b"\n"):
            raise UpstreamCorrupt("the list of versions breaks off, or is none")
        promised = _promised(document.headers)
        if promised is not None and promised != hashlib.sha256(body).digest():
            raise UpstreamCorrupt("the list of versions is not what its digest says")
        return promised is not None

    def begin(self, moment: float) -> bytes:
        return f"created_at: {datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}\n---\n".encode()

    def read(self, body: bytes) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        text = body.decode("utf-8", "replace")
        start = text.find("\n---\n") + 5
        for line in text[start : text.rfind("\n")].split("\n"):
            parts = line.split(" ")
            if len(parts) != 3 or not _MD5.match(parts[2]) or not names.is_name(parts[0]):
                continue
            name, labels, mark = parts
            before = found.get(name)
            if before is not None or "-" in labels[:1] or ",-" in labels:
                labels = _combined("" if before is None else before.labels, labels)
            found[name] = Entry(labels, mark)
        return found

    def entry(self, listing: Listing, settings: Mapping[str, Any]) -> Entry:
        labels = ",".join(str(file.facts["line"]).partition(" ")[0] for file in listing.files)
        return Entry(labels, md5(render_info(listing, settings)))

    def line(self, name: str, before: Entry | None, after: Entry) -> bytes:
        old = _labels(before.labels) if before is not None else []
        new = _labels(after.labels)
        kept, were = set(new), set(old)
        changes = [label for label in new if label not in were] + [f"-{x}" for x in old if x not in kept]
        if not changes:  # only what is said of a version changed; the client wants to see some version
            changes = new[-1:] or [f"-{old[-1]}" if old else "0"]
        return f"{name} {','.join(changes)} {after.mark}\n".encode()

    def keep(self, body: bytes, may_see: Callable[[str], bool]) -> bytes:
        head, rule, rest = body.partition(b"\n---\n")
        verdicts: dict[bytes, bool] = {}
        kept = []
        for line in rest.splitlines(keepends=True):
            name = line.partition(b" ")[0]
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = verdicts[name] = may_see(name.decode("utf-8", "replace"))
            if verdict:
                kept.append(line)
        return head + rule + b"".join(kept)

    def gate(self, name: str) -> str:
        return names.gate(name)


def render_names(entries: Mapping[str, Entry]) -> bytes:
    """`/names`: those with any version; none is an empty line."""
    return "\n".join(["---", *(sorted(n for n, entry in entries.items() if entry.labels) or [""]), ""]).encode()


def _labels(text: str) -> list[str]:
    return [label for label in text.split(",") if label]


def _combined(before: str, changes: str) -> str:
    """Labels after a line that adds some and takes back others."""
    found = dict.fromkeys(_labels(before))
    for label in _labels(changes):
        if label.startswith("-"):
            found.pop(label[1:], None)
        elif _LABEL.match(label):
            found[label] = None
    return ",".join(found)


def _promised(headers: Mapping[str, str]) -> bytes | None:
    """The sha256 that an upstream promises for a whole representation; None where it promises none."""
    match = re.search(r"sha-256=:?([A-Za-z0-9+/]{43}=)", headers.get("repr-digest", "") or headers.get("digest", ""))
    return None if match is None else base64.b64decode(match[1])
