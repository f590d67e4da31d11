"""POST legacy/: from a form to a published file, in the order of the upload API's contract.

Nothing is decided before the closing boundary, since uv sends `attestations` after the file; and a refusal reads the
rest of the body first, since twine and uv would otherwise show a broken connection instead of the reason.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from adapters.pypi import names, strict
from adapters.pypi.archive import read_archive
from adapters.pypi.attestations import fitting_attestations, provenance
from adapters.pypi.metadata import Metadata, check_metadata, parse_metadata
from adapters.pypi.submission import Claim, Submission, check_action, check_claim, check_digests, promised
from gateway.errors import AlreadyExists, Forbidden, GatewayError, Invalid
from gateway.model import Digest, File, Scope
from gateway.publish import NewFile
from gateway.store.hashing import Hashes
from gateway.web.form import FormReader, Part

if TYPE_CHECKING:
    from gateway.store.blobs import Upload
    from gateway.store.rows import HostedPackage
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_FORM_OVERHEAD = 64 * 1024**2  # bytes that a form may have beyond its file
_CLOSED = {"archived", "quarantined"}


async def upload(call: "Call") -> "Answer":
    """POST legacy/, legacy, or the repository itself."""
    try:
        return await _receive(call)
    except GatewayError:
        await call.drain()
        raise


async def _receive(call: "Call") -> "Answer":
    call.publish.require_writer()
    async with call.publish.upload() as content:
        submission = await _collect(call, content)
        check_action(submission, call.query)
        claim = check_claim(submission)
        call.package = claim.package
        digest = await content.finish()
        hashes = await asyncio.to_thread(_all_hashes, submission, content)
        check_digests(submission, hashes)
        hosted = await call.publish.begin(claim.package)
        _check_open(hosted, claim.package)
        if _is_stored(hosted, claim.filename, digest):
            return call.text("")
        known = () if hosted is None else hosted.files
        warnings = await _commit(call, submission, claim, content, hashes, known)
        return call.text("".join(f"{line}\n" for line in warnings))


async def _collect(call: "Call", content: "Upload") -> Submission:
    """Read the whole form; the file goes to `content`. Who may not write the package is refused before the file."""
    reader = FormReader(call.headers.get("Content-Type", ""))
    submission = Submission()
    limit = call.services.config.server.max_upload_size + _FORM_OVERHEAD
    async for chunk in call.chunks(limit):
        for event in reader.feed(chunk):
            if data := submission.take(event):
                await content.write(data)
            elif isinstance(event, Part) and event.name == "content":
                if not content.size:
                    content.want(promised(submission))
                name = submission.text("name")
                if name is not None and names.is_name(name):
                    call.publish.require(Scope.WRITE, names.normalize(name))
    reader.close()
    return submission


def _check_open(hosted: "HostedPackage | None", package: str) -> None:
    status = hosted.row.facts.get("status") if hosted is not None else None
    if status in _CLOSED:
        raise Forbidden(f"{package} is {status}: it takes no uploads")


def _is_stored(hosted: "HostedPackage | None", filename: str, digest: Digest) -> bool:
    """Whether the same bytes are published under this name; raises AlreadyExists for others."""
    known = hosted.find(filename) if hosted is not None else None
    if known is None:
        return False
    if known.sha256 != digest.hex:
        raise AlreadyExists(f"File already exists ('{filename}', with sha256 hash '{known.sha256}').")
    return True


def _all_hashes(submission: Submission, content: "Upload") -> dict[str, str]:
    """What was hashed while it came, and what a form that names its digests after its file makes us read again for."""
    hashes = content.hexes()
    if missing := [name for name in promised(submission) if name not in hashes]:
        late = Hashes(missing)
        with content.path.open("rb") as file:
            while body := file.read(1 << 20):
                late.update(body)
        hashes |= late.hexes()
    return hashes


async def _commit(
    call: "Call",
    submission: Submission,
    claim: Claim,
    content: "Upload",
    hashes: dict[str, str],
    known: tuple[File, ...],
) -> list[str]:
    """Read the archive, check what it says, and publish; returns warnings."""
    now = datetime.now(UTC)
    settings = call.repository.settings
    is_strict = bool(settings.get("strict", False))
    body, metadata = await asyncio.to_thread(_inspect, content.path, claim, is_strict=is_strict)
    if is_strict:
        strict.check_release(known, claim.named, claim.filename, now)
    sha256 = content.digest.hex
    described = _describe(submission, claim, body, metadata)
    kept, warnings = _attested(submission, claim.filename, sha256, str(settings.get("attestations", "store")))
    if kept:
        described.facts["provenance"] = True
        described.attachments["provenance"] = (provenance(kept), "application/json")
    described.facts["serial"] = int(now.timestamp() * 1000)
    new = NewFile(
        claim.filename,
        claim.named.version,
        content,
        hashes,
        now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        described.facts,
        described.attachments,
    )
    await call.publish.commit(claim.package, [new])
    return warnings


def _inspect(path: Path, claim: Claim, *, is_strict: bool) -> tuple[bytes, Metadata]:
    """The archive's metadata, verbatim and parsed. Blocks. Raises Invalid or NameMismatch."""
    contents = read_archive(path, claim.named, claim.filename)
    metadata = parse_metadata(contents.metadata)
    check_metadata(metadata, claim.package, claim.named.version)
    if is_strict:
        strict.check_name(claim.named, claim.filename, claim.package)
        strict.check_fields(metadata)
        strict.check_contents(claim.named, contents, metadata)
    return contents.metadata, metadata


class _Described(Struct):
    """A file's facts and attachments. A wheel's metadata is served as its sidecar; an sdist's is only for us."""

    facts: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, tuple[bytes, str]] = field(default_factory=dict)


def _describe(submission: Submission, claim: Claim, body: bytes, metadata: Metadata) -> _Described:
    described = _Described()
    requires = metadata.text("requires_python")
    if requires is not None:
        described.facts["requires_python"] = " ".join(requires.split())
    if claim.named.kind == "bdist_wheel":
        described.facts["metadata_sha256"] = Digest.of(body).hex
        described.attachments["metadata"] = (body, "application/octet-stream")
    else:
        described.attachments["pkg-info"] = (body, "application/octet-stream")
    if (comment := submission.text("comment")) is not None:
        described.facts["comment"] = comment[:1000]
    if submission.signature is not None:
        if not submission.signature.startswith(b"-----BEGIN PGP SIGNATURE-----"):
            raise Invalid("gpg_signature: not an armored signature")
        described.facts["gpg_sig"] = True
        described.attachments["asc"] = (submission.signature, "application/octet-stream")
    return described


def _attested(
    submission: Submission, filename: str, sha256: str, setting: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The attestations to keep, and warnings. Setting: `store` what fits, `refuse` what does not, `ignore` all."""
    text = submission.text("attestations")
    if text is None or setting == "ignore":
        return [], []
    try:
        return fitting_attestations(text, filename, sha256), []
    except Invalid as error:
        if setting == "refuse":
            raise
        return [], [f"warning: not stored: {error.message}"]
