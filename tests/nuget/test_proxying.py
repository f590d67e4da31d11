"""A v3 feed behind ours: rewritten, verified, merged, and in trouble (checklist 19, 28 to 32)."""

import base64
import hashlib
import json
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.nuget import reading, registration, routes_mirror
from gateway.config import UpstreamConfig
from gateway.format import Document
from gateway.model import File, Listing
from tests.conftest import StartGateway, private, public
from tests.fakes.faults import answer, corrupt, down, redirect, slow
from tests.fakes.nuget import package
from tests.fakes.upstream import FaultyUpstream
from tests.nuget.conftest import Feed

DOCUMENTS = (
    "index.json",
    "v3/index.json",
    "flat/left.pad/index.json",
    "registration/left.pad/index.json",
    "registration-gz/left.pad/index.json",
    "registration-semver2/left.pad/index.json",
    "registration-semver2/left.pad/1.0.0.json",
    "registration-semver2/left.pad/page/1.0.0/1.0.0.json",
    "catalog/left.pad/1.0.0.json",
    "search?q=left",
    "autocomplete?q=left",
    "vulnerabilities/index.json",
    "repository-signatures/index.json",
)
VERSIONS = (  # where clients read which versions there are, by display id and canonical id
    "flat/{1}/index.json",
    "registration-semver2/{1}/index.json",
    "search?q=packageid:{1}",
    "autocomplete?id={0}",
    "v2/FindPackagesById()?id='{0}'",
    "v2/Packages()?$filter=tolower(Id)%20eq%20'{1}'",
)
FILE = "flat/left.pad/1.0.0/left.pad.1.0.0.nupkg"
IN_FEED, IN_STORE = "/nuget/files/left.pad/1.0.0/left.pad.1.0.0.nupkg", "/bucket/4f1e"
CERTIFICATE = b"not really a certificate"
FINGERPRINT = hashlib.sha256(CERTIFICATE).hexdigest()


def serve_all(fake: FaultyUpstream) -> None:
    """A whole feed with one package and everything beside it."""
    base = f"{fake.url}nuget/"
    fake.nuget(
        "Left.Pad",
        {
            "1.0.0": package(
                metadata={
                    "iconUrl": f"{base}files/left.pad/1.0.0/icon",
                    "licenseUrl": f"{base}files/left.pad/1.0.0/license",
                    "projectUrl": "https://left.example/",
                }
            )
        },
    )
    fake.serve("/nuget/files/left.pad/1.0.0/icon", b"\x89PNG\r\n\x1a\nx", "image/png")
    fake.serve("/nuget/files/left.pad/1.0.0/license", b"<script>", "text/html")
    hit = {
        "@id": f"{base}registration/left.pad/index.json",
        "registration": f"{base}registration/left.pad/index.json",
        "id": "Left.Pad",
        "version": "1.0.0",
        "iconUrl": f"{base}files/left.pad/1.0.0/icon",
        "totalDownloads": 12,
        "versions": [{"@id": f"{base}registration/left.pad/1.0.0.json", "version": "1.0.0", "downloads": 12}],
    }
    serve(fake, "query", {"totalHits": 1, "data": [hit]})
    serve(fake, "complete", {"totalHits": 1, "data": ["Left.Pad"]})
    serve(
        fake, "vulnerabilities/index.json", [{"@name": "base", "@id": f"{base}v/base.json", "@updated": "2024-01-01"}]
    )
    serve(
        fake, "v/base.json", {"left.pad": [{"severity": 2, "url": "https://advisory.example/1", "versions": "(, 2)"}]}
    )
    fingerprints = {"2.16.840.1.101.3.4.2.1": FINGERPRINT}
    certificate = {"fingerprints": fingerprints, "subject": "CN=x", "contentUrl": f"{base}signatures/one.crt"}
    serve(fake, "signatures/index.json", {"allRepositorySigned": True, "signingCertificates": [certificate]})
    fake.serve("/nuget/signatures/one.crt", CERTIFICATE)


def serve(fake: FaultyUpstream, path: str, value: Any) -> None:
    fake.serve(f"/nuget/{path}", json.dumps(value).encode(), "application/json")


# ── what clients see ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_no_document_names_the_upstream(feed: Feed) -> None:
    serve_all(feed.fake)

    for path in DOCUMENTS:
        reply = await feed.get(path)

        assert reply.status == 200, (path, reply.body)
        assert feed.fake.authority.encode() not in reply.body, path


async def test_a_package_of_the_upstream_is_restored_byte_for_byte(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package(size=300_000)})

    assert await feed.versions("Left.Pad") == ["1.0.0"]
    cold, warm = await feed.get(FILE), await feed.get(FILE)

    assert cold.body == warm.body == theirs.body
    assert cold.headers["ETag"] == warm.headers["ETag"]
    assert feed.fake.count("/nuget/files/left.pad/1.0.0/left.pad.1.0.0.nupkg") == 1


async def test_the_file_beside_the_package_comes_from_the_upstream_too(feed: Feed) -> None:
    serve_all(feed.fake)
    (leaf,) = (await feed.json("registration-semver2/left.pad/index.json"))["items"][0]["items"]
    entry = leaf["catalogEntry"]

    icon = await feed.get(entry["iconUrl"].removeprefix(feed.base))
    licence = await feed.get(entry["licenseUrl"].removeprefix(feed.base))
    spec = await feed.get("flat/left.pad/1.0.0/left.pad.nuspec")

    assert (icon.status, icon.headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert licence.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"<id>Left.Pad</id>" in spec.body
    assert entry["projectUrl"] == "https://left.example/"


async def test_dates_unlisting_deprecation_and_vulnerabilities_pass_through(feed: Feed) -> None:
    advisory = {"advisoryUrl": "https://advisory.example/1", "severity": "2"}
    gone = {
        "reasons": ["CriticalBugs"],
        "message": "use another",
        "alternatePackage": {"id": "Right.Pad", "range": "*"},
    }
    feed.fake.nuget(
        "Left.Pad",
        {
            "1.0.0": package(listed=False),
            "2.0.0": package(deprecation=gone, vulnerabilities=[advisory], uploaded_at="2021-05-06T07:08:09.1234567Z"),
        },
    )

    index = await feed.json("registration-semver2/left.pad/index.json")

    first, second = (leaf["catalogEntry"] for leaf in index["items"][0]["items"])
    assert (first["listed"], first["published"]) == (False, "1900-01-01T00:00:00+00:00")
    assert (second["listed"], second["published"]) == (True, "2021-05-06T07:08:09.1234567Z")
    assert second["deprecation"]["reasons"] == ["CriticalBugs"]
    assert second["deprecation"]["alternatePackage"]["id"] == "Right.Pad"
    assert second["vulnerabilities"] == [advisory]
    assert await feed.versions("left.pad") == ["1.0.0", "2.0.0"]


async def test_pages_of_a_long_registration_are_asked_for_once(feed: Feed) -> None:
    feed.fake.nuget("Many", {f"1.0.{number}": package() for number in range(130)})

    for _ in range(3):
        assert len(await feed.versions("many")) == 130
    await feed.json("registration-semver2/many/index.json")

    asked = {path: count for path, count in feed.fake.counts.items() if "/registration/many/" in path}
    assert len(asked) == 4
    assert set(asked.values()) == {1}


async def test_a_registration_that_lacks_a_page_is_trouble_not_a_short_list(feed: Feed) -> None:
    feed.fake.nuget("Many", {f"1.0.{number}": package() for number in range(130)})
    feed.fake.remove("/nuget/registration/many/page/1.0.64/1.0.127.json")

    reply = await feed.get("flat/many/index.json")

    assert reply.status == 503


async def test_an_upstream_without_registrations_is_read_by_its_list_of_versions(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    flat = {"@id": f"{feed.fake.url}nuget/files", "@type": "PackageBaseAddress/3.0.0"}
    serve(feed.fake, "index.json", {"version": "3.0.0", "resources": [flat]})

    assert await feed.versions("left.pad") == ["1.0.0"]
    assert (await feed.get(FILE)).body == theirs.body
    assert (await feed.json("registration-semver2/left.pad/index.json"))["count"] == 1


async def test_another_gateway_may_be_the_upstream(start_gateway: StartGateway, tmp_path: Any) -> None:
    far = await start_gateway({"nuget": {"acme/tools": public()}}, data=tmp_path / "far")
    token = await far.token()
    body = package(dependencies={"Other": "1.0"}).build("Left.Pad", "1.0.0-rc.1").body
    await far.request("PUT", "nuget/acme/tools/package", token, data=body)
    config = UpstreamConfig(type="nuget", url=f"{far.url}nuget/acme/tools/index.json")
    near = await start_gateway({"nuget": {"acme/tools": public("far")}}, {"far": config})

    index = json.loads((await near.get("nuget/acme/tools/registration-semver2/left.pad/index.json")).body)

    (leaf,) = index["items"][0]["items"]
    assert leaf["packageContent"].startswith(near.url)
    assert leaf["catalogEntry"]["dependencyGroups"][0]["dependencies"][0]["range"] == "[1.0.0, )"
    got = await near.get(leaf["packageContent"].removeprefix(near.url))
    assert got.body == body
    assert got.headers["ETag"].startswith('"sha256:') or "sha512" in got.headers["ETag"]


# ── promises ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("promises", ["leaf", "entry"])
async def test_a_package_that_breaks_the_promise_of_its_hash_is_not_served(feed: Feed, promises: str) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()}, promises=promises)
    feed.fake.fault(corrupt(), f"/nuget/files/left.pad/1.0.0/{theirs.filename}")

    reply = await feed.get(FILE)

    assert reply.status >= 500
    assert [d for d, _, _ in feed.gateway.services.cache.walk() if d.hex == theirs.sha256] == []
    feed.fake.heal()
    feed.gateway.services.client.forgive()
    assert (await feed.get(FILE)).body == theirs.body


async def test_without_a_promise_the_package_is_served_as_it_comes(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()}, promises="nowhere")

    assert (await feed.get(FILE)).body == theirs.body


async def test_while_a_promise_cannot_be_read_nothing_is_served(feed: Feed) -> None:
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    feed.fake.fault(answer(500), "/nuget/catalog/left.pad.1.0.0.json")

    assert (await feed.get(FILE)).status == 503


@pytest.mark.parametrize("leaf", [b"[]", b"nonsense", b'{"version": "9.9.9", "packageHash": "x"}'])
async def test_a_leaf_that_is_about_something_else_promises_nothing(feed: Feed, leaf: bytes) -> None:
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    feed.fake.serve("/nuget/catalog/left.pad.1.0.0.json", leaf, "application/json")

    assert (await feed.get(FILE)).status == 502


async def test_a_leaf_that_is_gone_is_no_promise(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    feed.fake.remove("/nuget/catalog/left.pad.1.0.0.json")

    assert (await feed.get(FILE)).body == theirs.body


# ── an upstream that keeps its packages in an object store ───────────────────────────────────────────────────────
async def test_an_object_store_that_the_upstream_sends_us_to_never_sees_its_credentials(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake, FaultyUpstream() as store:
        (theirs,) = fake.nuget("Left.Pad", {"1.0.0": package(size=300_000)})
        move(fake, store, theirs.body)
        gateway = await start_gateway(
            {"nuget": {"acme/tools": private("fake")}},
            {"fake": fake.config("nuget", username="me", password="secret", hosts=(store.authority,))},
        )
        feed, token = Feed(gateway, fake), await gateway.token()

        cold, warm = await feed.get(FILE, token), await feed.get(FILE, token)

        assert cold.body == warm.body == theirs.body
        assert all(seen.headers["authorization"].startswith("Basic ") for seen in fake.seen)
        (asked,) = store.seen
        assert asked.path == f"{IN_STORE}?signature=abc"
        assert not asked.has_credentials
        assert token not in str(asked.headers)


async def test_bytes_of_an_object_store_are_held_to_the_hash_that_the_feed_promises(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake, FaultyUpstream() as store:
        (theirs,) = fake.nuget("Left.Pad", {"1.0.0": package(size=300_000)})
        other = package(size=299_000).build("Left.Pad", "1.0.0")
        move(fake, store, other.body)
        config = fake.config("nuget", token="secret", hosts=(store.authority,))
        gateway = await start_gateway({"nuget": {"acme/tools": public("fake")}}, {"fake": config})
        feed = Feed(gateway, fake)

        refused = await feed.get(FILE)
        assert refused.status >= 500
        assert other.sha256 not in {digest.hex for digest, _, _ in gateway.services.cache.walk()}

        store.serve(IN_STORE, theirs.body)
        gateway.services.client.forgive()
        assert (await feed.get(FILE)).body == theirs.body


async def test_an_object_store_that_nobody_has_named_is_not_asked(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake, FaultyUpstream() as store:
        (theirs,) = fake.nuget("Left.Pad", {"1.0.0": package()})
        move(fake, store, theirs.body)
        gateway = await start_gateway({"nuget": {"acme/tools": public("fake")}}, {"fake": fake.config("nuget")})

        assert (await Feed(gateway, fake).get(FILE)).status >= 500

        assert store.seen == []


def move(fake: FaultyUpstream, store: FaultyUpstream, body: bytes) -> None:
    """The package lies in the store alone, and the feed sends everyone there who asks for it."""
    store.serve(IN_STORE, body)
    fake.fault(redirect(f"{store.url.rstrip('/')}{IN_STORE}?signature=abc"), IN_FEED)


# ── lies and trouble ─────────────────────────────────────────────────────────────────────────────────────────────
LIES: list[dict[str, Any]] = [
    {"id": "Other"},
    {"version": "../../1"},
    {"version": None},
    {"packageContent": "https://evil.example/left.pad.1.0.0.nupkg"},
    {"packageContent": "file:///etc/passwd"},
    {"packageContent": None},
]


async def test_a_version_that_cannot_be_true_is_dropped(feed: Feed) -> None:
    for number, change in enumerate(LIES):
        name = f"left{number}"
        feed.fake.nuget(name, {"1.0.0": package(), "2.0.0": package()})
        document = json.loads(feed.fake.pages[f"/nuget/registration/{name}/index.json"].body)
        leaf = document["items"][0]["items"][0]
        leaf["catalogEntry"] |= change
        leaf |= {key: value for key, value in change.items() if key == "packageContent"}
        serve(feed.fake, f"registration/{name}/index.json", document)

        assert await feed.versions(name) == ["2.0.0"], change


async def test_a_registration_that_is_none_is_not_absence(feed: Feed) -> None:
    bodies = [b"", b"[]", b"{}", b"nonsense", b'{"items": 5}', b'{"versions": ["../1"]}', b"[" * 100_000]
    for number, body in enumerate(bodies):
        feed.fake.serve(f"/nuget/registration/left{number}/index.json", body, "application/json")

        assert (await feed.get(f"flat/left{number}/index.json")).status == 502, body[:20]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"version": "2.0", "resources": []}', b'{"version": "3.0.0"}'])
async def test_a_service_index_that_is_none_does_not_replace_the_good_one(
    start_gateway: StartGateway, body: bytes
) -> None:
    async with FaultyUpstream() as fake:
        fake.nuget("Left.Pad", {"1.0.0": package()})
        gateway = await start_gateway(
            {"nuget": {"acme/tools": public("fake")}}, {"fake": fake.config("nuget", max_age=0.0)}
        )
        assert (await gateway.get("nuget/acme/tools/flat/left.pad/index.json")).status == 200
        fake.serve("/nuget/index.json", body, "application/json")

        again = await gateway.get("nuget/acme/tools/flat/left.pad/index.json")

        assert again.status == 200


async def test_an_upstream_that_is_gone_leaves_what_was_cached_and_never_says_absent(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    feed.fake.nuget("Right.Pad", {"1.0.0": package()})
    await feed.versions("left.pad")
    await feed.get(FILE)
    feed.fake.fault(down())

    assert await feed.versions("left.pad") == ["1.0.0"]
    assert (await feed.get(FILE)).body == theirs.body
    unknown = await feed.get("flat/right.pad/index.json")
    assert unknown.status == 503
    assert "Retry-After" in unknown.headers
    assert (await feed.get("flat/right.pad/1.0.0/right.pad.1.0.0.nupkg")).status == 503
    assert (await feed.get("index.json")).status == 200


async def test_an_upstream_that_takes_its_time_does_not_hold_up_the_service_index(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_mirror, "PATIENCE", 0.05)
    feed.fake.fault(slow(first_byte=4.0), "/nuget/index.json")

    index = await feed.json("index.json")

    assert "VulnerabilityInfo/6.7.0" not in {one["@type"] for one in index["resources"]}


async def test_what_the_upstream_refuses_is_said_in_the_reason_phrase(feed: Feed) -> None:
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    feed.fake.fault(answer(403), "/nuget/files/left.pad/1.0.0/left.pad.1.0.0.nupkg")

    reply = await feed.get(FILE)

    assert reply.status == 403
    assert "refuses" in reply.reason
    assert reply.headers["X-NuGet-Warning"] == reply.reason


# ── together with ours ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_hosted_id_shows_none_of_the_upstreams_versions_anywhere(feed: Feed, token: str) -> None:
    feed.fake.nuget("Demo.Core", {"9.0.0": package()})
    await feed.publish("Demo.Core", "1.0.0", token)
    feed.fake.forget()

    assert await feed.versions("demo.core") == ["1.0.0"]
    for path in (
        "flat/demo.core/9.0.0/demo.core.9.0.0.nupkg",
        "flat/demo.core/9.0.0/demo.core.nuspec",
        "registration-semver2/demo.core/9.0.0.json",
        "catalog/demo.core/9.0.0.json",
        "symbols/demo.core.pdb/x/demo.core.pdb",
    ):
        assert (await feed.get(path)).status == 404
    for path in VERSIONS:
        shown = await feed.get(path.format("Demo.Core", "demo.core"))
        assert (shown.status, b"1.0.0" in shown.body, b"9.0.0" in shown.body) == (200, True, False), path
    assert not any("demo.core" in seen.path.lower() for seen in feed.fake.seen)


async def test_a_merged_id_shows_both_and_ours_win(feed: Feed, token: str) -> None:
    feed.fake.nuget("Both", {"1.0.0": package(), "2.0.0": package()})
    _, mine = await feed.publish("Both", "1.0.0", token, package(size=9))

    assert await feed.versions("both") == ["1.0.0", "2.0.0"]
    assert (await feed.get("flat/both/1.0.0/both.1.0.0.nupkg")).body == mine.body
    for path in VERSIONS:
        shown = await feed.get(path.format("Both", "both"))
        assert (shown.status, b"1.0.0" in shown.body, b"2.0.0" in shown.body) == (200, True, True), path


async def test_a_search_has_ours_first_and_never_sends_a_name_of_ours(feed: Feed, token: str) -> None:
    serve_all(feed.fake)
    await feed.publish("Leftover", "1.0.0", token)
    await feed.publish("Acme.Secret", "1.0.0", token)
    feed.fake.forget()

    both = await feed.json("search?q=left")
    ours = await feed.json("search?q=acme.secret&prerelease=True")
    reserved = await feed.json("search?q=acme.unpublished")
    ids = await feed.json("autocomplete?q=left")

    assert [hit["id"] for hit in both["data"]] == ["Leftover", "Left.Pad"]
    assert both["totalHits"] == 2
    assert [hit["id"] for hit in ours["data"]] == ["Acme.Secret"]
    assert ours["data"][0]["verified"] is True
    assert reserved["data"] == []
    assert ids["data"] == ["Leftover", "Left.Pad"]
    assert not any("acme" in seen.path.lower() for seen in feed.fake.seen)


async def test_a_name_of_ours_is_found_in_any_query(feed: Feed) -> None:
    serve_all(feed.fake)

    for query in (
        "%22acme.secret+x%22",
        "tags:acme.secret",
        "x:acme.secret",
        "(ACME.Secret)",
        "a+acme.secret",
        "acme.s",
    ):
        await feed.json(f"search?q={query}")
        await feed.json(f"autocomplete?q={query}")

    assert not any("acme" in seen.path.lower() for seen in feed.fake.seen)


async def test_an_upstreams_hit_of_a_name_that_is_ours_is_left_out(feed: Feed, token: str) -> None:
    serve_all(feed.fake)
    await feed.publish("Left.Pad", "0.1.0", token)

    found = await feed.json("search?q=pad")

    assert [hit["version"] for hit in found["data"]] == ["0.1.0"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 5}', b'{"data": [5, {"id": 7}, {"id": "../x"}]}'])
async def test_a_search_of_an_upstream_in_trouble_still_finds_ours(feed: Feed, token: str, body: bytes) -> None:
    feed.fake.serve("/nuget/query", body, "application/json")
    feed.fake.serve("/nuget/complete", body, "application/json")
    await feed.publish("Leftover", "1.0.0", token)

    assert await feed.found("q=left") == ["Leftover"]
    assert (await feed.json("autocomplete?q=left"))["data"] == ["Leftover"]


# ── what an upstream says to everybody ───────────────────────────────────────────────────────────────────────────
async def test_vulnerabilities_are_mirrored_on_our_host(feed: Feed) -> None:
    serve_all(feed.fake)
    index = await feed.json("index.json")
    (address,) = [one["@id"] for one in index["resources"] if one["@type"] == "VulnerabilityInfo/6.7.0"]

    (page,) = await feed.json(address.removeprefix(feed.base))

    assert (page["@name"], page["@updated"]) == ("base", "2024-01-01")
    found = await feed.json(page["@id"].removeprefix(feed.base))
    assert found["left.pad"][0]["severity"] == 2
    assert (await feed.get("vulnerabilities/other.json")).status == 404


async def test_an_empty_page_of_vulnerabilities_is_a_table(feed: Feed) -> None:
    serve_all(feed.fake)
    serve(feed.fake, "v/base.json", [])

    assert await feed.json("vulnerabilities/base.json") == {}


async def test_signatures_are_passed_through_with_their_certificates(feed: Feed) -> None:
    serve_all(feed.fake)

    document = await feed.json("repository-signatures/index.json")

    (certificate,) = document["signingCertificates"]
    assert document["allRepositorySigned"] is False
    got = await feed.get(certificate["contentUrl"].removeprefix(feed.base))
    assert got.body == CERTIFICATE
    assert (await feed.get(f"repository-signatures/{'0' * 64}.crt")).status == 404


async def test_a_certificate_without_its_fingerprint_is_not_passed_on(feed: Feed) -> None:
    serve_all(feed.fake)
    feed.fake.serve("/nuget/signatures/one.crt", b"another")

    assert (await feed.get(f"repository-signatures/{FINGERPRINT}.crt")).status == 502


async def test_a_repository_without_an_upstream_names_neither(feed: Feed) -> None:
    feed.path = "nuget/acme/strict/"

    index = await feed.json("index.json")

    kinds = {one["@type"] for one in index["resources"]}
    assert not {kind for kind in kinds if kind.startswith(("VulnerabilityInfo", "RepositorySignatures"))}
    assert (await feed.get("vulnerabilities/index.json")).status == 404


def test_the_hash_in_a_promise_is_the_one_of_the_bytes() -> None:
    """What our own leaves promise is what an upstream's reader demands."""
    sha512 = hashlib.sha512(b"bytes")
    entry = {"id": "Left.Pad", "version": "1.0.0"}
    file = File("left.pad.1.0.0.nupkg", "1.0.0", {"sha512": sha512.hexdigest()}, 5, facts={"entry": entry})
    body = registration.catalog_leaf(Listing("left.pad", (file,)), "https://a.test/", "1.0")

    read = reading.read_promise(replace(file, hashes={}, size=None), Document(body, "application/json", ""))

    assert json.loads(body)["packageHash"] == base64.b64encode(sha512.digest()).decode()
    assert (read.hashes, read.size) == ({"sha512": sha512.hexdigest()}, 5)


async def test_a_compressed_registration_is_read(feed: Feed) -> None:
    feed.fake.gzip = True
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})

    assert await feed.versions("left.pad") == ["1.0.0"]
