"""Reading manifests, names and places: pure, and fed with what strangers may write."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.container.manifests import parse_manifest, read_platform
from adapters.container.names import check_name, check_tag, is_attachment_tag, parse_digest, subject_of
from adapters.container.places import locate
from adapters.container.scopes import parse_scopes
from gateway.errors import Invalid
from gateway.model import RepositoryKey
from gateway.upstream.bearer import Challenge, read_challenges
from tests.fakes.images import OCI_INDEX, OCI_MANIFEST, digest_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType", "blobs"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), st.sampled_from(["", OCI_MANIFEST, OCI_INDEX]))
def test_any_json_is_a_manifest_or_refused(tree: dict[str, Any], content_type: str) -> None:
    found, refusal = None, ""
    try:
        found = parse_manifest(json.dumps(tree).encode(), content_type)
    except Invalid as error:
        refusal = str(error.detail["oci"])

    assert found is not None or refusal == "MANIFEST_INVALID"
    for digest in () if found is None else (*found.blobs, *found.nodes, *found.loose):
        assert str(parse_digest(digest)) == digest


ONE = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"x"), "size": 1}


@pytest.mark.parametrize(
    ("tree", "content_type"),
    [
        ({"manifests": [ONE], "layers": [ONE]}, OCI_INDEX),
        ({"manifests": [ONE], "config": ONE}, OCI_INDEX),
        ({"layers": [ONE]}, OCI_INDEX),
        ({"manifests": []}, OCI_MANIFEST),
        ({"manifests": [ONE], "blobs": [ONE]}, "application/vnd.acme.thing+json"),
    ],
)
def test_what_is_an_image_and_an_index_at_once_is_refused(tree: dict[str, Any], content_type: str) -> None:
    """CVE-2021-41190: one client would run the image, another look into the index that somebody else signed."""
    with pytest.raises(Invalid, match="at once") as refused:
        parse_manifest(json.dumps({"schemaVersion": 2, **tree}).encode(), content_type)
    assert refused.value.detail["oci"] == "MANIFEST_INVALID"


@pytest.mark.parametrize(
    ("config", "platform"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"os": "unknown", "architecture": "unknown"}, ""),
        ({"os": "linux"}, ""),
        ({"os": "linux", "architecture": ["amd64"]}, ""),
        ({"os": "linux", "architecture": "x" * 101}, ""),
        ([], ""),
    ],
)
def test_a_config_says_where_its_image_runs(config: Any, platform: str) -> None:
    assert read_platform(json.dumps(config).encode()) == platform


@pytest.mark.parametrize("config", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_config_that_is_none_says_nothing(config: bytes) -> None:
    assert read_platform(config) == ""


@given(st.text(max_size=60))
def test_what_passes_as_a_name_is_a_plain_path(text: str) -> None:
    try:
        name = check_name(text)
    except Invalid:
        return
    assert name == name.lower()
    assert all(part and part not in {".", ".."} for part in name.split("/"))
    assert not set(name) & set(" %\\?#:@\n\t")


@pytest.mark.parametrize("tag", ["", ".x", "-x", "a" * 129, "a/b", "a:b", "a\n", "ü"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(Invalid):
        check_tag(tag)


@pytest.mark.parametrize(
    "text", ["sha256:baddigeststring", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha512:" + "0" * 64, "x", "sha256:"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_digest(text)
    assert refused.value.detail["oci"] == "DIGEST_INVALID"


def test_tags_of_signatures_name_their_image() -> None:
    digest = digest_of(b"x")
    tag = digest.replace(":", "-")

    assert [subject_of(tag + end) for end in ("", ".sig", ".att", ".sbom")] == [digest] * 4
    assert subject_of("1.0") is None
    assert is_attachment_tag(digest_of(b"x", "sha512").replace(":", "-")[:128])


@given(st.text(alphabet="abv2/.:%?container-token", max_size=60))
def test_any_address_leads_to_a_place_or_nowhere(path: str) -> None:
    try:
        place = locate(f"/v2/{path}", {"ns": "docker.io"}, ())
    except Invalid:
        return
    assert place is None or place.key is None or place.rest.startswith("v2/")


@given(st.text(max_size=80))
def test_any_scope_asks_for_something_or_nothing(text: str) -> None:
    for below in (None, RepositoryKey("container", "acme", "app")):
        for wanted in parse_scopes([text, f"repository:{text}:pull"], below):
            assert wanted.asked.repository.startswith("container/") or wanted.asked.repository == ""


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['Bearer realm="https://a/t",service="s",scope="x y"'], Challenge("https://a/t", "s", "x y")),
        (['Basic realm="b", Bearer realm="https://a/t"'], Challenge("https://a/t", "", "")),
        (['Basic realm="b"', "bearer realm=https://a/t, service=s"], Challenge("https://a/t", "s", "")),
        (['Bearer error="x"'], None),
        (["", "Bearer", '"', "=,=,="], None),
    ],
)
def test_challenges_are_read_in_every_form(values: list[str], expected: Challenge | None) -> None:
    assert read_challenges(values) == expected


@given(st.text(max_size=200))
def test_any_challenge_is_read_without_harm(text: str) -> None:
    read_challenges([text, f"Bearer {text}"])
