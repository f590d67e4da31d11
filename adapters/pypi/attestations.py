"""Upload attestations (PEP 740): which of them speak of the uploaded file, and the provenance object that shows them.

What is checked is the in-toto statement: one subject, with the file's name and sha256. The signature and the signer's
identity are not checked here, so the publisher that we name is the kind of credential that the upload came with;
whoever relies on an attestation verifies it against Sigstore's log, as PEP 740 has it. Pure.
"""

import base64
import binascii
from typing import Any

import msgspec

from gateway.errors import Invalid

PREDICATES = frozenset({"https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1"})
_MOST = 10


def fitting_attestations(text: str, filename: str, sha256: str) -> list[dict[str, Any]]:
    """The attestations in the form's field, if each is of this file and no two are of one type; raises Invalid."""
    attestations = parse_attestations(text)
    predicates = [check_attestation(attestation, filename, sha256) for attestation in attestations]
    if len(set(predicates)) != len(predicates):
        raise Invalid("attestations: two of the same predicate type")
    return attestations


def parse_attestations(text: str) -> list[dict[str, Any]]:
    """The objects in the form's `attestations` field, in order; raises Invalid unless it is an array of objects."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("attestations: expected a JSON array") from error
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise Invalid("attestations: expected a JSON array of objects")
    if len(value) > _MOST:
        raise Invalid(f"attestations: more than {_MOST}")
    return value


def check_attestation(attestation: dict[str, Any], filename: str, sha256: str) -> str:
    """The predicate type of an attestation of this file; raises Invalid for one that is of something else."""
    if attestation.get("version") != 1:
        raise Invalid("attestations: expected version 1")
    material, envelope = attestation.get("verification_material"), attestation.get("envelope")
    if not isinstance(material, dict) or not isinstance(envelope, dict):
        raise Invalid("attestations: verification_material or envelope is missing")
    if not _decode(material.get("certificate")) or not material.get("transparency_entries"):
        raise Invalid("attestations: the certificate or its transparency entry is missing")
    if not _decode(envelope.get("signature")):
        raise Invalid("attestations: the signature is missing")
    statement = _statement(envelope.get("statement"))
    subjects = statement.get("subject")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise Invalid("attestations: expected exactly one subject")
    digests = subjects[0].get("digest")
    if subjects[0].get("name") != filename or not isinstance(digests, dict) or digests.get("sha256") != sha256:
        raise Invalid(f"attestations: the statement is not of {filename} with sha256 {sha256}")
    predicate = statement.get("predicateType")
    if not isinstance(predicate, str) or predicate not in PREDICATES:
        raise Invalid("attestations: unknown predicate type")
    return predicate


def provenance(attestations: list[dict[str, Any]]) -> bytes:
    """The provenance object of a file that was uploaded with these attestations."""
    publisher = {"kind": "Token", "claims": None}
    bundle = {"publisher": publisher, "attestations": attestations}
    return msgspec.json.encode({"version": 1, "attestation_bundles": [bundle]})


def _statement(value: Any) -> dict[str, Any]:
    try:
        statement = msgspec.json.decode(_decode(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("attestations: the statement is not JSON") from error
    if not isinstance(statement, dict) or statement.get("_type") != "https://in-toto.io/Statement/v1":
        raise Invalid("attestations: expected an in-toto statement")
    return statement


def _decode(value: Any) -> bytes:
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return b""
