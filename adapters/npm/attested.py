"""What was attested of a version: published with it, or the upstream's own (npm.md §11).

npm keeps only the path of `dist.attestations.url`, and some clients not even the whole of it: they ask at the root of
the host, which names no repository. There only packages are looked at that some repository has already, so that no
name is carried to an upstream that has never heard it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.npm import names
from adapters.npm.addresses import json_object_of, routes, shown
from adapters.npm.routes_publish import PROVENANCE
from gateway.adapter import HostRoute, Place
from gateway.errors import FileUnknown, GatewayError
from gateway.format import Ask
from gateway.model import HOSTED_LAYER, OwnerMode, Repository, Scope

if TYPE_CHECKING:
    from gateway.opened import OpenFile
    from gateway.pull import Pull
    from gateway.web.answers import Answer
    from gateway.web.call import Call, HostCall

CLAIM = "-/npm/v1/attestations"
_SPECS = (f"{CLAIM}/{{scope:@[^/]+}}/{{spec}}", f"{CLAIM}/{{spec}}")
_BUNDLE_LIMIT = 4 * 1024 * 1024


def locate(raw: str, query: Mapping[str, str], repositories: Iterable[Repository]) -> Place | None:  # noqa: ARG001 any
    """At the root of the host: one question, about any repository."""
    return Place(None, raw[1:])


async def attestations(call: "Call") -> "Answer":
    """GET -/npm/v1/attestations/NAME@VERSION: what was published with it, or the upstream's."""
    package, version = _asked(call.path)
    return call.json(await _attested(call.pull, shown(call, package), version))


async def attestations_of_host(call: "HostCall") -> "Answer":
    """Attestations at the root of the host: of a package that a readable repository has, hosted ones first."""
    package, version = _asked(call.path)
    call.package = package
    for pull in _knowing(call, package):
        try:
            return call.json(await _attested(pull, package, version))
        except GatewayError:
            continue  # another repository may have the version
    raise FileUnknown(f"no attestations of {package}@{version} in any repository that you may read")


def _asked(path: Mapping[str, str]) -> tuple[str, str]:
    return names.split_spec(f"{path['scope']}/{path['spec']}" if "scope" in path else path["spec"])


def _knowing(call: "HostCall", package: str) -> Iterator["Pull"]:
    """Reads of the repositories that have the package already and show it to this actor."""
    rows = call.services.packages
    known = [one for one in call.services.known().values() if one.key.type == call.adapter.type]
    having = [(row, one) for one in known if (row := rows.get(one.id, package)) is not None]
    is_owned = any(row.owner_mode is not OwnerMode.UPSTREAM for row, _ in having)
    for row, one in having:
        if is_owned and row.owner_mode is OwnerMode.UPSTREAM:
            continue  # what is private in one repository is asked of no upstream of another
        pull = call.pull_from(one, call.actor)
        if pull.may(package, Scope.READ):
            yield pull


async def _attested(pull: "Pull", package: str, version: str) -> dict[str, Any]:
    """The answer; raises FileUnknown, or as `Pull.listing`."""
    listing = await pull.listing(package)
    file = next((file for file in listing.files if file.version == version), None)
    if file is None:
        raise FileUnknown(f"no version {version} of {package}")
    if file.origin != HOSTED_LAYER:
        answer = await pull.ask_upstream(Ask(f"{CLAIM}/{names.quoted(package)}@{version}"), file.origin)
        if answer is None:
            raise FileUnknown(f"{package}@{version} has no attestations")
        return json_object_of(answer.body)
    bundle = await _whole(await pull.sidecar(package, file.filename, PROVENANCE))
    predicate = file.facts["manifest"]["dist"]["attestations"]["provenance"]["predicateType"]
    return {"attestations": [{"predicateType": predicate, "bundle": msgspec.Raw(bundle)}]}


async def _whole(file: "OpenFile") -> bytes:
    """All bytes of a small file."""
    source = await file.open()
    try:
        parts: list[bytes] = []
        offset = 0
        while (ready := await source.available(offset)) and offset < _BUNDLE_LIMIT:
            parts.append(os.pread(source.fd, ready, offset))
            offset += len(parts[-1])
        return b"".join(parts)
    finally:
        source.close()


ROUTES = tuple(route for spec in _SPECS for route in routes("GET", spec, attestations))
HOST_ROUTES = tuple(HostRoute("GET", spec, attestations_of_host) for spec in _SPECS)
