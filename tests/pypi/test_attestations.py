"""Which attestations speak of the uploaded file (PEP 740)."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi.attestations import fitting_attestations, provenance
from gateway.errors import Invalid

SHA = "a" * 64
NAME = "foo-1.0-py3-none-any.whl"
PUBLISH, SLSA = "https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1"


def made(statement=None, envelope=None, material=None, **changes):
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": NAME, "digest": {"sha256": SHA}}],
        "predicateType": PUBLISH,
    } | (statement or {})
    return {
        "version": 1,
        "verification_material": {"certificate": "AAAA", "transparency_entries": [{}]} | (material or {}),
        "envelope": {"statement": base64.b64encode(json.dumps(said).encode()).decode(), "signature": "AAAA"}
        | (envelope or {}),
    } | changes


def test_attestations_of_the_file_are_kept_as_they_came():
    given_ = [made(), made({"predicateType": SLSA})]

    kept = fitting_attestations(json.dumps(given_), NAME, SHA)

    assert kept == given_
    assert json.loads(provenance(kept))["attestation_bundles"][0]["attestations"] == given_


@pytest.mark.parametrize(
    "value",
    [
        [made(), made()],
        [made()] * 11,
        [made(version=2)],
        [made(verification_material=None)],
        [made(envelope=None), made(statement={"subject": "x"})],
        [made(material={"certificate": "not base64!"})],
        [made(material={"transparency_entries": []})],
        [made(envelope={"signature": ""})],
        [made(envelope={"statement": "AAAA"})],
        [made(envelope={"statement": 7})],
        [made({"_type": "other"})],
        [made({"predicateType": ["x"]})],
        [made({"subject": [{"name": NAME, "digest": {"sha256": SHA}}] * 2})],
        [made({"subject": [{"name": "foo-1.0.tar.gz", "digest": {"sha256": SHA}}]})],
        [made({"subject": [{"name": NAME, "digest": {"sha256": "b" * 64}}]})],
        [made({"subject": [{"name": NAME, "digest": "sha256"}]})],
        [],
        {},
        [[]],
    ],
    ids=range(19),
)
def test_any_other_attestation_is_refused(value):
    with pytest.raises(Invalid):
        fitting_attestations(json.dumps(value), NAME, SHA)


@given(st.text())
def test_no_text_makes_the_check_crash(text):
    with pytest.raises(Invalid):
        fitting_attestations(text, NAME, SHA)
