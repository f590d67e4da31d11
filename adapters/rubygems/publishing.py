"""POST api/v1/gems and DELETE api/v1/gems/yank: from a gem's bytes to a published version, and back.

What stands inside the gem is the truth: its name and version are what is published, and its dependencies are what the
index says. Sentences are shown by the client as they are.
"""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from adapters.rubygems import names
from adapters.rubygems.archive import read_gem
from adapters.rubygems.compact import info_line
from adapters.rubygems.index import VERSIONS
from adapters.rubygems.marshal import dump_spec
from adapters.rubygems.spec import Spec
from gateway.errors import AlreadyExists, Invalid, NameRetired, VersionUnknown
from gateway.model import Scope
from gateway.publish import NewFile, settle
from gateway.store.rows import Edit
from gateway.web.form import Data, FormReader, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.store.blobs import Upload
    from gateway.store.rows import HostedPackage
    from gateway.web.answers import Answer
    from gateway.web.call import Call

_FORM_OVERHEAD = 4 * 1024 * 1024  # bytes that a form may have beyond its gem
_MOST_ATTESTATIONS = 2 * 1024 * 1024
_MOST_FORM = 64 * 1024
_LONGEST_FACT = 4000  # characters of a text that views show; the gemspec has all of it
_REPUSHED = "Repushing of gem versions is not allowed. Please bump the version number and push a new different gem."


async def push(call: "Call") -> "Answer":
    """POST api/v1/gems: the gem as the body, or in a form with its attestations."""
    call.publish.require_writer()
    async with call.publish.upload() as upload:
        attestations = await _receive(call, upload)
        await upload.finish()
        spec = await asyncio.to_thread(read_gem, upload.path)
        call.package = spec.name
        full = f"{spec.name} ({names.label_of(spec.version, spec.platform)})"
        if not await settle(lambda: _publish(call, spec, upload, attestations)):
            return call.text(f"Gem was already pushed: {full}\n")
        await call.roster(VERSIONS).follow()
        return call.text(f"Successfully registered gem: {full}\n")


async def _publish(call: "Call", spec: Spec, upload: "Upload", attestations: bytes | None) -> bool:
    """Whether the gem is new here. Versions that are equal have different file names, so what was compared must still
    hold when the gem is published; raises Conflict where it does not.
    """
    found = await _begin(call, spec)
    hosted = found[spec.name]
    if hosted is not None and _is_stored(hosted, spec, upload.digest.hex):
        return False
    await _commit(call, spec, upload, attestations, found)
    return True


async def yank(call: "Call") -> "Answer":
    """DELETE api/v1/gems/yank: a form in the body says what; the version is never published again."""
    form = await form_of(call)
    name, version, platform = form.get("gem_name", ""), form.get("version", ""), form.get("platform") or names.RUBY
    if not names.is_name(name):
        raise Invalid("This rubygem could not be found.")
    call.package = name
    call.publish.require(Scope.DELETE, name)
    filename = names.filename(name, version, platform)
    hosted = await call.publish.hosted(name)
    if hosted is None or hosted.find(filename) is None:
        raise VersionUnknown(f"the version {version[:80]} of {name} does not exist here, or was yanked before")
    await call.publish.edit(name, Edit(delete_files=(filename,)))
    await call.roster(VERSIONS).follow()
    return call.text(f"Successfully deleted gem: {name} ({names.label_of(version, platform)})\n")


async def form_of(call: "Call") -> dict[str, str]:
    """The fields of a form in the body, or in the query where there is no body."""
    body = await call.body(_MOST_FORM)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
    except (UnicodeDecodeError, ValueError) as error:
        raise Invalid("the body is no form") from error
    return {**call.query, **dict(fields)}


async def _receive(call: "Call", upload: "Upload") -> bytes | None:
    """Write the gem to `upload`; what else a form carries is returned."""
    limit = call.services.config.server.max_upload_size
    if not call.headers.get("Content-Type", "").lower().startswith("multipart/form-data"):
        async for chunk in call.chunks(limit):
            await upload.write(chunk)
        return None
    reader, attestations, part = FormReader(call.headers["Content-Type"]), bytearray(), ""
    async for chunk in call.chunks(limit + _FORM_OVERHEAD):
        for event in reader.feed(chunk):
            if isinstance(event, Part):
                if event.name == "gem" and upload.size:
                    raise Invalid("the form has two gems")
                part = event.name
            elif isinstance(event, Data) and part == "gem":
                await upload.write(event.body)
            elif isinstance(event, Data) and part == "attestations":
                attestations += event.body
                if len(attestations) > _MOST_ATTESTATIONS:
                    raise Invalid(f"the attestations have more than {_MOST_ATTESTATIONS} bytes")
    reader.close()
    return _checked_attestations(bytes(attestations)) if attestations else None


def _checked_attestations(body: bytes) -> bytes:
    """A list of sigstore bundles, kept as it came."""
    try:
        bundles = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("the attestations are no JSON") from error
    if not isinstance(bundles, list) or not all(isinstance(one, dict) and "mediaType" in one for one in bundles):
        raise Invalid("the attestations are no list of sigstore bundles")
    return body


async def _begin(call: "Call", spec: Spec) -> "dict[str, HostedPackage | None]":
    """Check that this name may be published here; what is hosted of it, and of its `gate`, which notes the spelling."""
    gate = names.gate(spec.name)
    found = {name: await call.publish.begin(name) for name in dict.fromkeys((spec.name, gate))}
    holder = found[gate]
    spelling = _spelling(holder)
    if (spelling or spec.name) != spec.name or (gate != spec.name and holder is not None and holder.files):
        raise AlreadyExists(f"a gem {spelling or gate} is published here: {spec.name} differs from it by case only")
    return found


def _spelling(holder: "HostedPackage | None") -> str | None:
    return holder.row.facts.get("spelling") if holder is not None else None


def _rivals(spec: Spec) -> list[tuple[str, str]]:
    """The gems whose file would be called like this one: `a` in version 1 for a platform 2, like `a-1` in version 2."""
    gate = names.gate(spec.name)
    readings = (one.name for one in names.readings(spec.full_name))
    return [(name, f"{spec.full_name}.gem") for name in readings if names.gate(name) != gate]


def _is_stored(hosted: "HostedPackage", spec: Spec, sha256: str) -> bool:
    """Whether these very bytes are published; raises for another gem of an equal version, or one that was yanked."""
    filename = names.filename(spec.name, spec.version, spec.platform)
    known = hosted.find(filename)
    if known is not None and known.sha256 == sha256:
        return True
    mine = names.label_key(spec.version, spec.platform)
    if any(names.label_key(file.version, file.facts["platform"]) == mine for file in hosted.files):
        raise AlreadyExists(_REPUSHED)
    for old in hosted.tombstones:
        if names.label_key(*names.split_label(old.removeprefix(f"{spec.name}-").removesuffix(".gem"))) == mine:
            raise NameRetired(f"{old.removesuffix('.gem')} was yanked: its version is not used again")
    return False


async def _commit(
    call: "Call",
    spec: Spec,
    upload: "Upload",
    attestations: bytes | None,
    found: "Mapping[str, HostedPackage | None]",
) -> None:
    """Publish the gem, and note its spelling, unless what was `found` has changed since."""
    now = datetime.now(UTC)
    sha256 = upload.digest.hex
    attachments = {"gemspec": (await asyncio.to_thread(dump_spec, spec), "application/octet-stream")}
    if attestations is not None:
        attachments["attestations"] = (attestations, "application/json")
    new = NewFile(
        names.filename(spec.name, spec.version, spec.platform),
        spec.version,
        upload,
        upload.hexes(),
        f"{now:%Y-%m-%dT%H:%M:%SZ}",
        {"line": info_line(spec, sha256), "platform": spec.platform, "about": _about(spec)},
        attachments,
    )
    gate = names.gate(spec.name)
    facts = {"spelling": spec.name} if _spelling(found[gate]) is None else None
    batches = {gate: ((), facts), spec.name: ((new,), facts if gate == spec.name else None)}
    expected = {name: 0 if hosted is None else hosted.row.revision for name, hosted in found.items()}
    await call.publish.commit_all(batches, expected=expected, rivals=_rivals(spec))


def _about(spec: Spec) -> dict[str, Any]:
    """What the JSON views say of a version."""
    return {
        "summary": spec.summary[:_LONGEST_FACT],
        "description": spec.description[:_LONGEST_FACT],
        "authors": ", ".join(spec.authors)[:_LONGEST_FACT],
        "licenses": [one[:200] for one in spec.licenses[:20]],
        "homepage": spec.homepage[:_LONGEST_FACT],
        "metadata": {k[:200]: v[:1000] for k, v in list(spec.metadata.items())[:50]},
        "ruby": ", ".join(f"{one.operator} {one.version}" for one in spec.required_ruby),
        "rubygems": ", ".join(f"{one.operator} {one.version}" for one in spec.required_rubygems),
        "dependencies": [
            [one.name, ", ".join(f"{c.operator} {c.version}" for c in one.clauses), one.is_runtime]
            for one in spec.dependencies[:200]
        ],
    }
