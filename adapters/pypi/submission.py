"""An upload as the form says it: collected from the parts, then checked before anything is looked up. Pure.

Only the fields that decide something are kept, whatever their order; everything else of the core metadata is counted
and dropped, since the archive's own METADATA is the truth. Upload API (warehouse docs/user/api/upload.md).
"""

from collections.abc import Mapping

from msgspec import Struct, field

from adapters.pypi import names
from gateway.errors import DigestMismatch, Gone, Invalid, NameMismatch, TooLarge
from gateway.web.form import Data, Event, Part

DIGESTS = {"md5_digest": "md5", "sha256_digest": "sha256", "blake2_256_digest": "blake2b_256"}

_KEPT = frozenset(
    {
        ":action",
        "attestations",
        "comment",
        "filetype",
        "gpg_signature",
        "metadata_version",
        "name",
        "protocol_version",
        "pyversion",
        "version",
        *DIGESTS,
    }
)
_LIMITS = {"attestations": 2 * 1024**2, "gpg_signature": 64 * 1024}
_LIMIT = 64 * 1024  # bytes of any other field that is kept
_ALL_FIELDS = 32 * 1024**2  # bytes of everything but the file
_ACTIONS = frozenset({"submit", "submit_pkg_info", "doc_upload", "verify"})


class Submission(Struct):
    """The parts that came so far. filename: of the `content` part, None before it began."""

    fields: dict[str, str] = field(default_factory=dict)
    signature: bytes | None = None
    filename: str | None = None
    _name: str = ""
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0

    def take(self, event: Event) -> bytes | memoryview:
        """Take one event; returns bytes of the file, to be stored elsewhere. Raises Invalid or TooLarge."""
        if isinstance(event, Part):
            self._begin(event)
            return b""
        if isinstance(event, Data):
            if self._name == "content":
                return event.body
            self._add(event.body)
            return b""
        self._end()
        return b""

    def text(self, name: str) -> str | None:
        """A field; None if absent, empty or `UNKNOWN`."""
        value = self.fields.get(name, "").strip()
        return value if value not in {"", "UNKNOWN"} else None

    def _begin(self, part: Part) -> None:
        self._name, self._body = part.name, bytearray()
        if part.name == "content":
            if self.filename is not None:
                raise Invalid("content: sent twice")
            self.filename = part.filename or ""
        elif part.name in self.fields or (part.name == "gpg_signature" and self.signature is not None):
            raise Invalid(f"{part.name}: sent twice")

    def _add(self, body: bytes | memoryview) -> None:
        self._size += len(body)
        if self._size > _ALL_FIELDS:
            raise TooLarge(f"the form's fields have more than {_ALL_FIELDS} bytes")
        if self._name in _KEPT:
            self._body += body
            limit = _LIMITS.get(self._name, _LIMIT)
            if len(self._body) > limit:
                raise TooLarge(f"{self._name}: more than {limit} bytes")

    def _end(self) -> None:
        if self._name == "gpg_signature":
            self.signature = bytes(self._body)
        elif self._name in _KEPT:
            self.fields[self._name] = self._body.decode("utf-8", "replace")


class Claim(Struct, frozen=True):
    """What the form claims that the file is. `package` is canonical."""

    package: str
    filename: str
    named: names.FileName


def check_action(submission: Submission, query: Mapping[str, str]) -> None:
    """Raise Gone for a retired action, Invalid for any other but `file_upload` of protocol version 1."""
    action = submission.text(":action") or query.get(":action", "")
    if action in _ACTIONS:
        raise Gone(f":action {action} is not supported any more, upload a file instead")
    if action != "file_upload":
        raise Invalid(f":action: expected file_upload, got {action[:80]!r}")
    if submission.text("protocol_version") not in {None, "1"}:
        raise Invalid(f"protocol_version: expected 1, got {(submission.text('protocol_version') or '')[:80]!r}")


def check_claim(submission: Submission) -> Claim:
    """The claim, if name, version, file type and file name agree with each other; raises Invalid or NameMismatch."""
    name, version = submission.text("name"), submission.text("version")
    if name is None or not names.is_name(name):
        raise Invalid(f"name: not a valid name for a package: {(name or '')[:80]!r}")
    if version is None or names.parse_version(version) is None:
        raise Invalid(f"version: not a version as PEP 440 has it: {(version or '')[:80]!r}")
    filename = submission.filename
    if filename is None:
        raise Invalid("content: the upload has no file")
    package = names.normalize(name)
    if not filename.endswith((".whl", ".tar.gz", ".zip")) or not names.is_filename(filename):
        raise Invalid(f"content: not the name of a wheel or a .tar.gz: {filename[:80]!r}")
    named = names.parse_filename(filename, package)
    if named is None:
        raise NameMismatch(f"content: {filename[:80]!r} is not the name of a wheel or sdist of {package}")
    if not names.same_version(named.version, version):
        raise NameMismatch(f"version: the form says {version[:80]}, the file's name {named.version}")
    filetype = submission.text("filetype")
    if filetype != named.kind:
        raise Invalid(f"filetype: expected {named.kind} for {filename}, got {(filetype or '')[:80]!r}")
    return Claim(package, filename, named)


def promised(submission: Submission) -> tuple[str, ...]:
    """The algorithms of the digests that the form has named so far."""
    return tuple(algorithm for name, algorithm in DIGESTS.items() if submission.text(name) is not None)


def check_digests(submission: Submission, actual: Mapping[str, str]) -> None:
    """Raise DigestMismatch unless every digest in the form is the content's, Invalid if there is none."""
    said = {name: value.lower() for name in DIGESTS if (value := submission.text(name)) is not None}
    if not said:
        raise Invalid(f"expected at least one of {', '.join(DIGESTS)}")
    for name, value in said.items():
        if value != actual[DIGESTS[name]]:
            raise DigestMismatch(f"{name}: the form says {value[:128]}, the content has {actual[DIGESTS[name]]}")
