"""What an upstream says to everybody, served from our host: vulnerabilities and repository signatures (§7, §9).

Clients never learn the upstream's own addresses; an upstream in trouble means that these resources are left out.
"""

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.nuget.addresses import base_of, routes
from gateway.errors import Blocked, FileUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.model import Page, Visibility

if TYPE_CHECKING:
    from gateway.web.answers import Answer
    from gateway.web.call import Call

JSON = "application/json"
VULNERABILITIES = "VulnerabilityInfo/6.7.0"
SIGNATURES = ("RepositorySignatures/5.0.0", "RepositorySignatures/4.9.0", "RepositorySignatures/4.7.0")
_TROUBLE = (Blocked, UpstreamCorrupt, UpstreamTrouble)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
PATIENCE = 2.0  # seconds that an upstream may take to add to what we say
_MOST_PAGES = 16
_MOST_CERTIFICATES = 100


async def mirrored(call: "Call") -> dict[str, str]:
    """The upstream's resources, by @type; none while it cannot be asked, or takes its time."""
    try:
        async with asyncio.timeout(PATIENCE):
            directory = await call.pull.upstream_directory()
    except (*_TROUBLE, TimeoutError):
        return {}
    return dict(directory.facts["resources"]) if directory is not None else {}


def page(call: "Call", document: Any) -> Page:
    """A document that no package's listing is behind."""
    body = msgspec.json.encode(document)
    etag = f'"{hashlib.sha256(body).hexdigest()[:40]}"'
    share = "" if call.repository.visibility is Visibility.PUBLIC else "private, "
    return Page(body, JSON, etag, headers=(("Cache-Control", f"{share}no-cache"),))


async def vulnerabilities(call: "Call") -> "Answer":
    """GET vulnerabilities/index.json: the upstream's pages, at our addresses."""
    base = base_of(call)
    shown = [
        {"@name": name, "@id": f"{base}vulnerabilities/{name}.json", "@updated": updated}
        for name, (_, updated) in (await _pages(call)).items()
    ]
    return call.page(page(call, shown))


async def vulnerability_page(call: "Call") -> "Answer":
    """GET vulnerabilities/NAME.json: one page, as the upstream has it."""
    known = (await _pages(call)).get(call.path["name"])
    if known is None:
        raise FileUnknown("there is no such page of vulnerabilities")
    found = await _ask(call, known[0])
    if isinstance(found, list) and not found:
        found = {}  # the specification's empty page, which clients cannot read as the table that they expect
    if not isinstance(found, dict):
        raise UpstreamCorrupt("the upstream's page of vulnerabilities is not a table")
    return call.page(page(call, found))


async def signatures(call: "Call") -> "Answer":
    """GET repository-signatures/index.json: the certificates that the upstream signs with.

    Not everything here is signed by it, since what is published here is not.
    """
    base = base_of(call)
    shown = [
        {**certificate, "contentUrl": f"{base}repository-signatures/{fingerprint}.crt"}
        for fingerprint, certificate in (await _certificates(call)).items()
    ]
    return call.page(page(call, {"allRepositorySigned": False, "signingCertificates": shown}))


async def certificate(call: "Call") -> "Answer":
    """GET repository-signatures/FINGERPRINT.crt: one certificate, if it has that fingerprint."""
    known = (await _certificates(call)).get(call.path["fingerprint"])
    answer = await call.pull.ask_upstream(Ask(str(known["contentUrl"]))) if known is not None else None
    if answer is None:
        raise FileUnknown("there is no such certificate")
    if hashlib.sha256(answer.body).hexdigest() != call.path["fingerprint"]:
        raise UpstreamCorrupt("the upstream's certificate does not have the fingerprint that it promised")
    headers = (("Cache-Control", "private, max-age=3600"), ("X-Content-Type-Options", "nosniff"))
    answered = call.text("", content_type="application/x-x509-ca-cert", headers=headers)
    answered.body = answer.body
    return answered


async def _ask(call: "Call", address: str) -> Any:
    answer = await call.pull.ask_upstream(Ask(address, JSON))
    if answer is None:
        raise FileUnknown("the upstream has no such document")
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamCorrupt("the upstream's document is not JSON") from error


async def _resource(call: "Call", *kinds: str) -> Any:
    directory = await call.pull.upstream_directory()
    resources = directory.facts["resources"] if directory is not None else {}
    address = next((resources[kind] for kind in kinds if kind in resources), None)
    if address is None:
        raise FileUnknown("no upstream of this repository has it")
    return await _ask(call, address)


async def _pages(call: "Call") -> dict[str, tuple[str, str]]:
    """Name → (the upstream's address, when it changed)."""
    found = await _resource(call, VULNERABILITIES)
    if not isinstance(found, list):
        raise UpstreamCorrupt("the upstream's index of vulnerabilities is not a list")
    return {
        one["@name"]: (one["@id"], str(one.get("@updated", ""))[:64])
        for one in found[:_MOST_PAGES]
        if isinstance(one, dict)
        and isinstance(one.get("@id"), str)
        and isinstance(one.get("@name"), str)
        and _NAME.fullmatch(one["@name"])
        and one["@name"] != "index"
    }


async def _certificates(call: "Call") -> dict[str, dict[str, Any]]:
    """sha256 fingerprint → what the upstream says of the certificate."""
    found = await _resource(call, *SIGNATURES)
    listed = found.get("signingCertificates") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise UpstreamCorrupt("the upstream's signatures have no certificates")
    shown = {}
    for one in listed[:_MOST_CERTIFICATES]:
        fingerprints = one.get("fingerprints") if isinstance(one, dict) else None
        value = fingerprints.get("2.16.840.1.101.3.4.2.1") if isinstance(fingerprints, dict) else None
        if isinstance(value, str) and _FINGERPRINT.fullmatch(value.lower()) and isinstance(one.get("contentUrl"), str):
            shown[value.lower()] = one
    return shown


ROUTES = (
    *routes("GET", "vulnerabilities/index.json", vulnerabilities),
    *routes("GET", "vulnerabilities/{name:[A-Za-z0-9_-]+}.json", vulnerability_page),
    *routes("GET", "repository-signatures/index.json", signatures),
    *routes("GET", "repository-signatures/{fingerprint:[0-9a-f]+}.crt", certificate),
)
