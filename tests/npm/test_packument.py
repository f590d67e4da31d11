import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.npm import packument, render
from adapters.npm.wire import NpmFormat
from gateway.errors import (
    Blocked,
    Forbidden,
    PackageUnknown,
    Unauthenticated,
    UpstreamCorrupt,
    UpstreamTrouble,
    VersionUnknown,
)
from gateway.format import Document
from gateway.model import File, Listing
from tests.npm.documents import BASE, HOSTS, UPSTREAM, document
from tests.npm.documents import packument as upstream_packument


def listing(value, name="lib"):
    return packument.parse(name, document(value), "npm", HOSTS)


def hosted(*versions, name="@acme/lib", **facts):
    files = tuple(
        File(
            f"lib-{version}.tgz",
            version,
            {"sha256": "0" * 64},
            1,
            f"2024-01-0{day}T00:00:00.000Z",
            facts={"manifest": {"name": name, "version": version, "dist": {"integrity": "sha512-x", "shasum": "y"}}},
        )
        for day, version in enumerate(versions, 1)
    )
    tags = {"latest": versions[-1]} if versions else {}
    return Listing(name, files, {"tags": tags, "revision": 7, **facts})


@pytest.mark.parametrize("indent", [None, 2])
def test_every_tarball_moves_below_our_base_whatever_the_whitespace(indent):
    found = packument.parse(
        "@acme/lib", document(upstream_packument("@acme/lib", "1.0.0", "1.1.0"), indent=indent), "npm", HOSTS
    )

    for body in (render.full(found, BASE), render.corgi(found, BASE)):
        versions = json.loads(body)["versions"]
        assert {v["dist"]["tarball"] for v in versions.values()} == {
            f"{BASE}@acme/lib/-/lib-1.0.0.tgz",
            f"{BASE}@acme/lib/-/lib-1.1.0.tgz",
        }
        assert UPSTREAM.encode() not in body


def test_everything_else_of_an_upstreams_manifest_stays_byte_for_byte():
    value = upstream_packument("lib", "1.0.0")
    odd = {"z": 1.50, "a": "ünï\\u0041", "signatures": [{"keyid": "SHA256:x", "sig": "a+/b=="}]}
    value["versions"]["1.0.0"]["odd"] = odd
    raw = json.dumps(value["versions"]["1.0.0"])

    manifest = render.version(listing(value), "1.0.0", BASE).decode()

    assert manifest == raw.replace(f"{UPSTREAM}lib", f"{BASE}lib")


def test_a_text_that_quotes_the_tarball_cannot_break_the_document():
    value = upstream_packument("lib", "1.0.0")
    tarball = value["versions"]["1.0.0"]["dist"]["tarball"]
    value["versions"]["1.0.0"]["description"] = f'see "{tarball}" or \\"{tarball}'

    manifest = json.loads(render.version(listing(value), "1.0.0", BASE))

    assert manifest["dist"]["tarball"] == f"{BASE}lib/-/lib-1.0.0.tgz"
    assert manifest["version"] == "1.0.0"


def test_the_full_document_keeps_the_members_of_upstream():
    body = json.loads(render.full(listing(upstream_packument("lib", "1.0.0", readme="hello", license="MIT")), BASE))

    assert body["_id"] == body["name"] == "lib"
    assert body["_rev"] == "9-abc"
    assert (body["readme"], body["license"]) == ("hello", "MIT")
    assert body["time"]["1.0.0"] == "2020-01-01T00:00:00.000Z"
    assert body["time"]["created"] == "2020-01-01T00:00:00.000Z"


def test_the_abbreviated_document_has_the_installers_fields_and_time():
    value = upstream_packument("lib", "1.0.0")
    extra = {
        "libc": ["musl"],
        "os": ["linux"],
        "scripts": {"test": "x"},
        "_npmUser": {"name": "a"},
        "bundledDependencies": [],
    }
    value["versions"]["1.0.0"] |= extra | {"deprecated": "no", "_hasShrinkwrap": False}

    body = json.loads(render.corgi(listing(value), BASE))

    assert set(body) == {"name", "modified", "dist-tags", "versions", "time"}
    assert body["time"]["1.0.0"] == "2020-01-01T00:00:00.000Z"
    version = body["versions"]["1.0.0"]
    assert set(version) == {
        "name",
        "version",
        "deprecated",
        "dist",
        "libc",
        "os",
        "bundledDependencies",
        "_hasShrinkwrap",
    }
    assert {"integrity", "shasum", "fileCount", "unpackedSize"} <= set(version["dist"])


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"scripts": {"install": "x"}}, True),
        ({"scripts": {"postinstall": "x"}}, True),
        ({"scripts": {"preinstall": "x"}}, True),
        ({"scripts": {"uninstall": "x"}}, None),
        ({"scripts": {"install": ""}}, None),
        ({"scripts": ["install"]}, None),
        ({"scripts": None}, None),
        ({"gypfile": True}, True),
        ({"gypfile": False}, None),
        ({"hasInstallScript": True}, True),
    ],
)
def test_install_scripts_are_announced(manifest, expected):
    value = upstream_packument("lib", "1.0.0")
    value["versions"]["1.0.0"] |= manifest

    assert json.loads(render.corgi(listing(value), BASE))["versions"]["1.0.0"].get("hasInstallScript") is expected


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": "1.0.1"},
        {"dist": None},
        {"dist": {"tarball": 5, "shasum": "a" * 40}},
        {"dist": {"tarball": f"{UPSTREAM}lib/-/lib-1.0.0.tgz"}},
        {"dist": {"tarball": "https://elsewhere.example/lib-1.0.0.tgz", "shasum": "a" * 40}},
        {"dist": {"tarball": "https://registry.example@elsewhere.example/l.tgz", "shasum": "a" * 40}},
        {"dist": {"tarball": "file:///etc/passwd", "shasum": "a" * 40}},
        {"dist": {"tarball": "https://registry.example:99/l.tgz", "shasum": "a" * 40}},
        {"dist": {"tarball": f"{UPSTREAM}a b", "shasum": "a" * 40}},
        {"dist": {"tarball": f"{UPSTREAM}lib/-/lib-1.0.0.tgz", "shasum": "nonsense", "integrity": "sha512-AAAA"}},
    ],
)
def test_a_version_that_cannot_be_true_or_verified_is_dropped(change):
    value = upstream_packument("lib", "1.0.0", "1.1.0")
    value["versions"]["1.0.0"] |= change

    assert [file.version for file in listing(value).files] == ["1.1.0"]


@pytest.mark.parametrize("version", ["../x", "1/2", "", "1\n", '1"'])
def test_a_version_that_is_no_part_of_a_file_name_is_dropped(version):
    value = upstream_packument("lib", "1.0.0")
    value["versions"][version] = value["versions"]["1.0.0"] | {"version": version}

    assert [file.version for file in listing(value).files] == ["1.0.0"]


def test_an_insecure_tarball_url_of_a_secure_upstream_is_asked_for_securely():
    value = upstream_packument("lib", "1.0.0")
    value["versions"]["1.0.0"]["dist"]["tarball"] = "http://registry.example/lib/-/odd-name.tgz"

    (file,) = listing(value).files

    assert file.url == "https://registry.example/lib/-/odd-name.tgz"
    assert file.filename == "lib-1.0.0.tgz"


def test_promised_hashes_are_read_and_ambiguous_ones_are_not():
    sha512 = "sha512-" + "A" * 86 + "=="
    assert packument.hashes_of("A" * 40, sha512) == {"sha1": "a" * 40, "sha512": "00" * 64}
    assert packument.hashes_of(None, f"{sha512} sha512-" + "B" * 85 + "A==") == {}
    assert packument.hashes_of(None, f"{sha512}?opt sha1-" + "A" * 27 + "=") == {"sha512": "00" * 64, "sha1": "00" * 20}
    assert packument.hashes_of(5, 7) == {}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"<html>", b'{"name": "other"}', b'{"name": 5}', b'{"versions": []}', b'{"name": "lib"'),
        b'{"versions": {"1.0.0": %s}}' % (b"[" * 100_000 + b"]" * 100_000),
    ],
)
def test_what_is_no_packument_of_this_package_is_corrupt(body):
    with pytest.raises(UpstreamCorrupt):
        packument.parse("lib", Document(body, "application/json", UPSTREAM), "npm", HOSTS)


def test_a_package_that_was_withdrawn_is_shown_as_withdrawn():
    value = {"name": "lib", "time": {"created": "2020-01-01T00:00:00.000Z", "unpublished": {"name": "x", "time": "t"}}}

    body = json.loads(render.full(listing(value), BASE))

    assert body["versions"] == {}
    assert body["time"]["unpublished"] == {"name": "x", "time": "t"}


def test_tags_of_versions_that_are_not_shown_name_the_newest_that_is():
    value = upstream_packument("lib", "1.0.0", "1.1.0", "2.0.0-rc.1")
    value["dist-tags"] = {"latest": "3.0.0", "beta": "2.0.0-rc.1", "old": "0.1.0"}

    assert render.repaired_tags(listing(value)) == {"latest": "1.1.0", "beta": "2.0.0-rc.1", "old": "1.1.0"}


def test_a_hosted_document_is_complete():
    found = hosted("1.0.0", "1.1.0", readme="# hi", maintainers=[{"name": "a"}], users={"b": True})
    found.files[1].facts["manifest"].update(description="d", license="MIT", keywords=["k"])

    body = json.loads(render.full(found, BASE))

    assert body["_rev"].startswith("7-")
    assert (body["description"], body["license"], body["keywords"], body["readme"]) == ("d", "MIT", ["k"], "# hi")
    assert body["versions"]["1.0.0"]["dist"]["tarball"] == f"{BASE}@acme/lib/-/lib-1.0.0.tgz"
    assert body["time"] == {
        "created": "2024-01-01T00:00:00.000Z",
        "modified": "2024-01-02T00:00:00.000Z",
        "1.0.0": "2024-01-01T00:00:00.000Z",
        "1.1.0": "2024-01-02T00:00:00.000Z",
    }
    assert body["users"] == {"b": True}


def test_a_hosted_package_without_versions_is_unknown():
    for write in (render.full, render.corgi):
        with pytest.raises(PackageUnknown):
            write(hosted(), BASE)


def test_attestations_are_asked_for_below_our_base():
    found = hosted("1.0.0")
    found.files[0].facts["manifest"]["dist"]["attestations"] = {"provenance": {"predicateType": "p"}}
    value = upstream_packument("@acme/lib", "2.0.0")
    value["versions"]["2.0.0"]["dist"]["attestations"] = {"url": f"{UPSTREAM}-/npm/v1/attestations/x", "provenance": {}}

    ours = json.loads(render.version(found, "1.0.0", BASE))["dist"]["attestations"]
    theirs = json.loads(render.version(listing(value, "@acme/lib"), "2.0.0", BASE))["dist"]["attestations"]

    assert ours == {"url": f"{BASE}-/npm/v1/attestations/@acme%2flib@1.0.0", "provenance": {"predicateType": "p"}}
    assert theirs["url"] == f"{BASE}-/npm/v1/attestations/@acme%2flib@2.0.0"


def test_a_version_is_found_by_number_and_by_tag():
    found = hosted("1.0.0", "1.1.0")

    assert json.loads(render.version(found, "latest", BASE))["version"] == "1.1.0"
    with pytest.raises(VersionUnknown):
        render.version(found, "9.9.9", BASE)


def test_hosted_versions_win_a_merge_and_tags_are_never_taken_from_upstream():
    upstream = listing(upstream_packument("@acme/lib", "1.0.0", "99.0.0"), "@acme/lib")

    merged = packument.merge(hosted("1.0.0"), upstream)

    assert [(file.version, file.origin) for file in merged.files] == [("1.0.0", "hosted"), ("99.0.0", "npm")]
    assert merged.facts["tags"] == {"latest": "1.0.0"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*", True),
        ("application/vnd.npm.install-v1+json", True),
        ("application/json, application/vnd.npm.install-v1+json", True),
        ("application/vnd.npm.install-v1+json;q=0.5, application/json", False),
        ("application/vnd.npm.install-v1+json;q=0", False),
        ("application/vnd.npm.install-v1+json;q=x", False),
        ("application/json", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_abbreviated_document_is_served_only_where_it_is_wanted_most(accept, expected):
    assert render.wants_corgi(accept) is expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Blocked("denied by\npolicy: min_age"), "denied by policy: min_age"),
        (Forbidden("no"), "no"),
        (UpstreamTrouble("slow"), "slow"),
        (PackageUnknown("gone"), None),
        (Unauthenticated("who"), None),
    ],
)
def test_errors_are_json_and_policy_stands_in_the_reason_phrase(error, reason):
    body = NpmFormat().render_error(error, "text/html")

    assert json.loads(body.body) == {"error": error.message}
    assert body.content_type == "application/json"
    assert body.reason == reason


def test_upstreams_are_asked_for_the_full_document_by_one_segment():
    ask = NpmFormat().ask_listing("@acme/lib")

    assert (ask.path, ask.accept) == ("@acme%2flib", "application/json")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["time", "dist-tags", "versions", "_rev", "readme", "name"]), JSON_VALUES))
@settings(max_examples=150, deadline=None)
def test_no_document_does_worse_than_being_refused(members):
    value = upstream_packument("lib", "1.0.0") | members

    try:
        found = listing(value)
    except UpstreamCorrupt:
        return
    json.loads(render.full(found, BASE))
    json.loads(render.corgi(found, BASE))


@given(
    st.dictionaries(
        st.sampled_from(["version", "name", "dist", "scripts", "deprecated", "bin", "gypfile"]), JSON_VALUES
    )
)
@settings(max_examples=150, deadline=None)
def test_no_manifest_breaks_its_document(members):
    value = upstream_packument("lib", "1.0.0", "1.1.0")
    value["versions"]["1.0.0"] |= members

    found = listing(value)

    assert "1.1.0" in json.loads(render.full(found, BASE))["versions"]
    assert "1.1.0" in json.loads(render.corgi(found, BASE))["versions"]


def test_a_packument_whose_tarballs_are_all_on_another_host_says_which():
    version = {
        "name": "lib",
        "version": "1.0.0",
        "dist": {"tarball": "https://elsewhere.example/lib/-/lib-1.0.0.tgz", "shasum": "0" * 40},
    }
    body = json.dumps({"name": "lib", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}).encode()

    with pytest.raises(UpstreamCorrupt, match=r"elsewhere\.example"):
        packument.parse("lib", Document(body, "application/json", "https://upstream.example/lib"), "up", frozenset())
