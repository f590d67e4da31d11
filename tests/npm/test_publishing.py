import base64
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.npm import publishing
from adapters.npm.tarball import Contents
from gateway.errors import DigestMismatch, Invalid, NameMismatch
from tests.fakes.artifacts import tarball
from tests.npm.documents import publication


def release(name="@acme/lib", version="1.0.0", **changes):
    value = publication(name, version, **changes)
    (key,) = value["_attachments"]
    return read(name, value, key)


def read(name, value, key="@acme/lib-1.0.0.tgz"):
    return publishing.read_release(name, publishing.read_sent(name, json.dumps(value).encode()), key)


def hashes(body):
    return {"sha1": hashlib.sha1(body).hexdigest(), "sha512": hashlib.sha512(body).hexdigest()}


def sealed(published, packed=None, *, is_strict=True, body=None, size=None, **contents):
    built = tarball().build(published.package, published.version)
    body = built.body if body is None else body
    manifest = packed if packed is not None else {k: v for k, v in built.facts.items() if k not in {"_id", "dist"}}
    return publishing.seal(
        published, Contents(manifest, 3, 123, **contents), hashes(body), size or len(body), "ada", is_strict=is_strict
    )


def manifest_with(**members):
    value = publication("@acme/lib", "1.0.0")
    value["versions"]["1.0.0"] |= members
    return value


def test_a_release_is_sealed_with_what_its_bytes_say():
    built = tarball().build("@acme/lib", "1.0.0")

    manifest = sealed(release()).manifest

    assert manifest["dist"] == {
        "integrity": built.integrity,
        "shasum": built.sha1,
        "fileCount": 3,
        "unpackedSize": 123,
    }
    assert manifest["_id"] == "@acme/lib@1.0.0"
    assert manifest["_npmUser"] == {"name": "ada"}
    assert "readme" not in manifest


def test_what_clients_leave_of_their_own_state_is_dropped():
    value = manifest_with(
        _resolved="/home/x", _from="file:x", _integrity="i", integrity="i", shasum="s", _attachments={}, deprecated=""
    )

    manifest = sealed(read("@acme/lib", value)).manifest

    assert not {"_resolved", "_from", "_integrity", "integrity", "shasum", "_attachments", "deprecated"} & set(manifest)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "@acme/other"}, NameMismatch),
        ({"_id": "@acme/other"}, NameMismatch),
        ({"versions": {}}, Invalid),
        ({"versions": None}, Invalid),
        ({"versions": {"not-semver": {}}}, Invalid),
        ({"versions": {"1.0.0": {"name": "@acme/lib", "version": "1.0.1"}}}, NameMismatch),
        ({"versions": {"1.0.0": {"name": "other", "version": "1.0.0"}}}, NameMismatch),
        ({"versions": {"1.0.0": []}}, Invalid),
        ({"versions": {"1.0.0": {}, "1.0.1": {}}}, Invalid),
        ({"dist-tags": {"latest": "2.0.0"}}, Invalid),
        ({"dist-tags": {"1.x": "1.0.0"}}, Invalid),
        ({"dist-tags": {"a/b": "1.0.0"}}, Invalid),
        ({"_attachments": {}}, Invalid),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(change, error):
    value = publication("@acme/lib", "1.0.0") | change

    with pytest.raises(error):
        read("@acme/lib", value)


@pytest.mark.parametrize(
    "dist",
    [
        {"integrity": "sha512-" + "A" * 86 + "=="},
        {"integrity": "nonsense"},
        {"integrity": 5},
        {"shasum": "0" * 40},
        {"shasum": "xyz"},
        {"integrity": "sha1-" + "A" * 27 + "="},
    ],
)
def test_a_wrong_or_unreadable_promise_about_the_tarball_is_refused(dist):
    with pytest.raises(DigestMismatch):
        sealed(read("@acme/lib", manifest_with(dist=dist)))


def test_a_wrong_length_is_refused():
    with pytest.raises(DigestMismatch):
        sealed(release(), size=1)


def test_no_promise_at_all_is_fine():
    assert sealed(read("@acme/lib", manifest_with(dist=None))).manifest["dist"]["integrity"].startswith("sha512-")


@pytest.mark.parametrize(
    "packed",
    [{"name": "other", "version": "1.0.0"}, {"name": "@acme/lib", "version": "1.0.1"}, {"name": "@acme/lib"}, {}],
)
def test_a_tarball_of_another_package_is_refused_even_when_not_strict(packed):
    with pytest.raises(NameMismatch):
        sealed(release(), packed, is_strict=False)


PACKED = {"name": "@acme/lib", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("said", "packed"),
    [
        ({}, {"dependencies": {"evil": "1"}}),
        ({"dependencies": {"a": "1"}}, {"dependencies": {"a": "2"}}),
        ({}, {"scripts": {"postinstall": "evil"}}),
        ({"scripts": {"install": "good"}}, {"scripts": {"install": "evil"}}),
        ({}, {"bin": {"npm": "evil.js"}}),
        ({"bin": {"x": "a.js"}}, {"bin": {"x": "b.js"}}),
        ({}, {"peerDependencies": {"evil": "*"}}),
    ],
)
def test_a_manifest_that_hides_what_the_tarball_does_is_refused(said, packed):
    published = read("@acme/lib", manifest_with(**said))

    with pytest.raises(NameMismatch):
        sealed(published, PACKED | packed)
    sealed(published, PACKED | packed, is_strict=False)


@pytest.mark.parametrize(
    ("said", "packed"),
    [
        ({"bin": {"lib": "cli.js"}}, {"bin": "./cli.js"}),
        ({"bin": {"x": "bin/x.js"}}, {"bin": {"x": ".//bin/x.js"}}),
        ({"bin": {"x": "bin/x"}}, {"directories": {"bin": "bin"}}),
        ({"dependencies": {"a": "1"}, "optionalDependencies": {"a": "1"}}, {"optionalDependencies": {"a": "1"}}),
        ({"dependencies": {}}, {}),
        ({"dependencies": {"a": "*"}}, {"dependencies": {"a": ""}}),
        ({"scripts": {"prepare": "x"}}, {"scripts": {"prepare": "y", "test": "z"}}),
    ],
)
def test_the_spellings_that_clients_normalise_agree(said, packed):
    sealed(read("@acme/lib", manifest_with(**said)), PACKED | packed)


def test_node_gyp_that_npm_adds_agrees_and_is_noted():
    npm = read("@acme/lib", manifest_with(scripts={"install": "node-gyp rebuild"}, gypfile=True))

    assert sealed(npm, PACKED, has_gyp=True).manifest["gypfile"] is True
    assert sealed(release(), PACKED, has_gyp=True).manifest["gypfile"] is True
    assert sealed(release(), PACKED, has_shrinkwrap=True).manifest["_hasShrinkwrap"] is True


@pytest.mark.parametrize("version", ["v1.0.0", "=1.0.0", " 1.0.0 ", "1.0.0+build"])
def test_a_version_that_npm_cleans_agrees(version):
    sealed(release(), PACKED | {"version": version})


def test_the_readme_is_taken_from_where_it_is_and_cut():
    assert release().readme == "# @acme/lib"
    assert release(readme="top").readme == "top"
    assert len(release(readme="ü" * 100_000).readme.encode()) == publishing.README_LIMIT


def bundle(name, version, sha512, **members):
    statement = {
        "subject": [{"name": name, "digest": {"sha512": sha512}}],
        "predicateType": "https://slsa.dev/provenance/v1",
    }
    payload = base64.b64encode(json.dumps(statement | members).encode()).decode()
    return json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle+json", "dsseEnvelope": {"payload": payload}})


def with_provenance(text):
    value = publication("@acme/lib", "1.0.0")
    value["_attachments"]["@acme/lib-1.0.0.sigstore"] = {"content_type": "application/vnd.x", "data": text, "length": 1}
    return read("@acme/lib", value)


def test_provenance_about_this_tarball_is_kept():
    sha512 = hashlib.sha512(tarball().build("@acme/lib", "1.0.0").body).hexdigest()
    text = bundle("pkg:npm/%40acme/lib@1.0.0", "1.0.0", sha512)

    done = sealed(with_provenance(text))

    assert done.provenance.bundle == text.encode()
    assert done.manifest["dist"]["attestations"] == {"provenance": {"predicateType": "https://slsa.dev/provenance/v1"}}


def test_provenance_about_something_else_is_refused():
    sha512 = hashlib.sha512(tarball().build("@acme/lib", "1.0.0").body).hexdigest()
    for name, digest in (("pkg:npm/%40acme/lib@1.0.1", sha512), ("pkg:npm/%40acme/lib@1.0.0", "0" * 128)):
        with pytest.raises(DigestMismatch):
            sealed(with_provenance(bundle(name, "1.0.0", digest)))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"dsseEnvelope": {"payload": "!"}}', '{"dsseEnvelope": {"payload": "e30="}}']
)
def test_provenance_that_is_none_is_refused(text):
    with pytest.raises(Invalid):
        sealed(with_provenance(text))


VALUES = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
@settings(deadline=None)
def test_no_manifest_does_worse_than_being_refused(value):
    for member in ("scripts", "bin", "dependencies", "dist", "readme", "directories"):
        try:
            sealed(read("@acme/lib", manifest_with(**{member: value})), PACKED)
        except Invalid:
            continue


@given(st.dictionaries(st.sampled_from(["_id", "name", "dist-tags", "versions", "_attachments", "access"]), VALUES))
@settings(deadline=None)
def test_no_publish_document_does_worse_than_being_refused(members):
    try:
        read("@acme/lib", publication("@acme/lib", "1.0.0") | members)
    except Invalid:
        return
