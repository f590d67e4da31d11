"""Core metadata, as METADATA and PKG-INFO carry it: read leniently, judged by what we rely on.

The format is that of email headers with an optional body. Written out here because the standard library's email
parser guesses at encodings and slows down on hostile headers. Packaging user guide: "Core metadata specifications".
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from adapters.pypi import names
from gateway.errors import Invalid, NameMismatch

MAX_SIZE = 8 * 1024**2  # bytes; the description is the only large part

_LINE = re.compile(r"\r\n|\r|\n")
_HEADER = re.compile(r"([!-9;-~]+):[ \t]*(.*)\Z", re.DOTALL)
_MAX_HEADERS = 20_000

_LISTS = frozenset(
    {
        "classifier",
        "dynamic",
        "import_name",
        "import_namespace",
        "license_file",
        "obsoletes",
        "obsoletes_dist",
        "platform",
        "project_url",
        "provides",
        "provides_dist",
        "provides_extra",
        "requires",
        "requires_dist",
        "requires_external",
        "supported_platform",
    }
)


class Metadata(Struct, frozen=True):
    """What a distribution says of itself.

    fields: header name in lower case with `_` → text, or a list of texts for headers that may repeat.
    description: the body, else the `Description` header. repeated: single headers that came more than once.
    """

    fields: Mapping[str, str | list[str]]
    description: str = ""
    repeated: tuple[str, ...] = field(default=())

    def text(self, name: str) -> str | None:
        """A single field; None if absent, empty or `UNKNOWN`, which old tools wrote for "nothing"."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value not in {"", "UNKNOWN"} else None

    def texts(self, name: str) -> list[str]:
        """A field that may repeat, in order."""
        value = self.fields.get(name, [])
        return [item for item in value if item not in {"", "UNKNOWN"}] if isinstance(value, list) else []


def parse_metadata(body: bytes) -> Metadata:
    """Read METADATA or PKG-INFO; never raises for what is merely odd, Invalid for what is too large to be true."""
    if len(body) > MAX_SIZE:
        raise Invalid(f"the metadata has {len(body)} bytes, more than {MAX_SIZE}")
    head, description = _split(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    if len(head) > _MAX_HEADERS:
        raise Invalid(f"the metadata has more than {_MAX_HEADERS} headers")
    fields: dict[str, str | list[str]] = {}
    repeated: list[str] = []
    for name, value in head:
        key = name.lower().replace("-", "_")
        if key in _LISTS:
            known = fields.setdefault(key, [])
            assert isinstance(known, list)
            known.append(value)
        elif key in fields:
            repeated.append(name)
        else:
            fields[key] = value
    if not description.strip():
        header = fields.get("description")
        description = _dedent(header) if isinstance(header, str) else ""
    return Metadata(fields, description, tuple(repeated))


def check_metadata(metadata: Metadata, package: str, version: str) -> None:
    """Raise Invalid or NameMismatch unless the metadata is of this canonical package and version.

    The major version of the metadata must be 1 or 2; an unknown minor version is accepted.
    """
    repeated = {name.lower() for name in metadata.repeated} & {"name", "version", "metadata-version", "requires-python"}
    if repeated:
        raise Invalid(f"the metadata has more than one {min(repeated)}")
    major = (metadata.text("metadata_version") or "").partition(".")[0]
    if major not in {"1", "2"}:
        raise Invalid(f"metadata_version: expected 1.x or 2.x, got {_shown(metadata.text('metadata_version'))}")
    name = metadata.text("name") or ""
    if not names.is_name(name) or names.normalize(name) != package:
        raise NameMismatch(f"name: the file's metadata says {_shown(name)}, the upload is for {package}")
    said = metadata.text("version") or ""
    if not names.same_version(said, version):
        raise NameMismatch(f"version: the file's metadata says {_shown(said)}, the upload is for {version}")


def info(metadata: Metadata) -> dict[str, Any]:
    """The metadata as the JSON API's `info` object, without what only a listing knows."""
    urls = {}
    for item in metadata.texts("project_url"):
        label, _, url = item.partition(",")
        urls[label.strip()] = url.strip()
    return {
        "author": metadata.text("author") or "",
        "author_email": metadata.text("author_email") or "",
        "classifiers": metadata.texts("classifier"),
        "description": metadata.description,
        "description_content_type": metadata.text("description_content_type"),
        "download_url": metadata.text("download_url"),
        "dynamic": metadata.texts("dynamic") or None,
        "home_page": metadata.text("home_page"),
        "keywords": metadata.text("keywords") or "",
        "license": metadata.text("license"),
        "license_expression": metadata.text("license_expression"),
        "license_files": metadata.texts("license_file") or None,
        "maintainer": metadata.text("maintainer"),
        "maintainer_email": metadata.text("maintainer_email"),
        "platform": ", ".join(metadata.texts("platform")) or None,
        "project_urls": urls or None,
        "provides_extra": metadata.texts("provides_extra") or None,
        "requires_dist": metadata.texts("requires_dist") or None,
        "requires_python": metadata.text("requires_python"),
        "summary": metadata.text("summary"),
    }


def _split(text: str) -> tuple[list[tuple[str, str]], str]:
    """Headers in order with folded lines joined, and the body. The first line that is no header begins the body."""
    head: list[tuple[str, list[str]]] = []
    at = 0
    while at < len(text):
        end = _LINE.search(text, at)
        line, after = (text[at:], len(text)) if end is None else (text[at : end.start()], end.end())
        if not line:
            return _joined(head), text[after:]
        header = _HEADER.match(line)
        if line[0] in " \t" and head:
            head[-1][1].append(line)
        elif header is not None:
            head.append((header[1], [header[2]]))
        else:
            break
        at = after
    return _joined(head), text[at:]


def _joined(head: list[tuple[str, list[str]]]) -> list[tuple[str, str]]:
    return [(name, "\n".join(lines).strip()) for name, lines in head]


def _dedent(text: str) -> str:
    """A description that was folded into a header: each further line begins with spaces, or with `|` after them."""
    return "\n".join(re.sub(r"\A(?: {7}\||\t| {8})", "", line) for line in text.split("\n"))


def _shown(text: str | None) -> str:
    return repr((text or "")[:80])
