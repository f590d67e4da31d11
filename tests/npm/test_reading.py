"""Packuments, versions and tarballs over HTTP (npm.md §20, items 2 to 5, 8, 9, 11, 12, 14, 15, 22, 41 to 47)."""

import asyncio
import gzip
import json
import time

import pytest

from adapters.npm import render
from gateway.errors import UpstreamTrouble
from tests.conftest import StartGateway, private, public
from tests.fakes.artifacts import tarball
from tests.fakes.faults import answer, corrupt, down
from tests.fakes.upstream import FaultyUpstream
from tests.npm.conftest import Registry

CORGI = "application/vnd.npm.install-v1+json"
NPM_ACCEPT = f"{CORGI}; q=1.0, application/json; q=0.8, */*"


async def test_all_spellings_of_a_scope_are_one_resource(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    replies = [await registry.get(path) for path in ("@acme%2flib", "@acme%2Flib", "@acme/lib", "%40acme%2flib")]

    assert {reply.status for reply in replies} == {200}
    assert len({(reply.body, reply.headers["ETag"]) for reply in replies}) == 1


@pytest.mark.parametrize(
    "path", ["@acme%252flib", "..%2f..%2fx", "@..%2fx", "@acme%2f..", "lib%2fx", "lib/-/..%2f..%2fx"]
)
async def test_other_encodings_are_refused(registry: Registry, path: str) -> None:
    reply = await registry.get(path)

    assert reply.status in {400, 404}
    assert set(json.loads(reply.body)) == {"error"}
    assert registry.fake.count() == 0


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (NPM_ACCEPT, CORGI),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("", "application/json"),
    ],
)
async def test_the_variant_follows_accept(registry: Registry, token: str, accept: str, expected: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    reply = await registry.get("@acme%2flib", Accept=accept)

    assert reply.headers["Content-Type"] == expected
    assert reply.headers["Vary"] == "Accept, Accept-Encoding"
    assert "time" in json.loads(reply.body)


async def test_variants_have_etags_of_their_own(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)
    corgi = await registry.get("@acme%2flib", Accept=NPM_ACCEPT)
    full = await registry.get("@acme%2flib", Accept="application/json")

    upgraded = await registry.get("@acme%2flib", Accept="application/json", If_None_Match=corgi.headers["ETag"])

    assert corgi.headers["ETag"].startswith('W/"')
    assert corgi.headers["ETag"] != full.headers["ETag"]
    assert upgraded.status == 200


async def test_conditional_requests_go_by_etag_alone(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)
    etag = (await registry.get("@acme%2flib")).headers["ETag"]

    for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        reply = await registry.get("@acme%2flib", If_None_Match=sent, If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")
        assert (reply.status, reply.body) == (304, b"")
    assert (await registry.get("@acme%2flib", If_Modified_Since="Fri, 01 Jan 2100 00:00:00 GMT")).status == 200


async def test_a_new_version_is_seen_by_the_next_request(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)
    first = await registry.get("@acme%2flib")
    await registry.publish("@acme/lib", "1.1.0", token)

    second = await registry.get("@acme%2flib", If_None_Match=first.headers["ETag"])

    assert "no-cache" in first.headers["Cache-Control"]
    assert set(json.loads(second.body)["versions"]) == {"1.0.0", "1.1.0"}


async def test_a_large_document_is_compressed(registry: Registry, token: str) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        await registry.publish("@acme/lib", version, token)
    plain = await registry.get("@acme%2flib")

    packed = await registry.get("@acme%2flib", Accept_Encoding="gzip,deflate")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


async def test_tarballs_are_below_our_base_and_as_the_upstream_has_them(registry: Registry) -> None:
    (theirs,) = registry.fake.npm("left-pad", {"1.3.0": tarball()})

    document = await registry.document("left-pad")
    url = document["versions"]["1.3.0"]["dist"]["tarball"]
    reply = await registry.get("left-pad/-/left-pad-1.3.0.tgz", Accept=NPM_ACCEPT)

    assert url == f"{registry.base}left-pad/-/left-pad-1.3.0.tgz"
    assert (reply.status, reply.body) == (200, theirs.body)
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert "Content-Encoding" not in reply.headers
    assert "immutable" in reply.headers["Cache-Control"]


async def test_a_tarball_has_ranges_heads_and_every_address(registry: Registry, token: str) -> None:
    _, built = await registry.publish("@acme/lib", "1.0.0", token)

    for path in ("@acme/lib/-/lib-1.0.0.tgz", "@acme%2flib/-/lib-1.0.0.tgz", "@acme/lib/-/@acme/lib-1.0.0.tgz"):
        assert (await registry.get(path)).body == built.body
    part = await registry.get("@acme/lib/-/lib-1.0.0.tgz", Range="bytes=1-3")
    head = await registry.gateway.request("HEAD", f"{registry.path}@acme/lib/-/lib-1.0.0.tgz")

    assert (part.status, part.body) == (206, built.body[1:4])
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(len(built.body)), b"")


@pytest.mark.parametrize("filename", ["lib-1.0.1.tgz", "other-1.0.0.tgz", "lib-1.0.0.zip", "package.json"])
async def test_other_files_are_unknown(registry: Registry, token: str, filename: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    assert (await registry.get(f"@acme/lib/-/{filename}")).status in {400, 404}


async def test_one_version_can_be_asked_for_by_number_and_by_tag(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)
    registry.fake.npm("left-pad", {"1.3.0": tarball()})

    for path in ("@acme/lib/1.0.0", "@acme%2flib/latest", "left-pad/1.3.0", "left-pad/latest"):
        manifest = json.loads((await registry.get(path)).body)
        assert manifest["dist"]["tarball"].startswith(registry.base)
        assert manifest["dist"]["integrity"].startswith("sha512-")
    assert (await registry.get("@acme/lib/9.9.9")).status == 404


async def test_a_corrupted_tarball_is_never_complete_and_never_kept(registry: Registry) -> None:
    (theirs,) = registry.fake.npm("left-pad", {"1.3.0": tarball(size=600_000)})
    path = "/npm/left-pad/-/left-pad-1.3.0.tgz"
    registry.fake.fault(corrupt(), path)

    try:
        broken = (await registry.get("left-pad/-/left-pad-1.3.0.tgz")).body
    except Exception as error:  # noqa: BLE001 however the client notices
        broken = str(error).encode()
    registry.fake.heal()
    whole = await registry.get("left-pad/-/left-pad-1.3.0.tgz")

    assert len(broken) < len(theirs.body)
    assert whole.body == theirs.body


async def test_a_cached_tarball_is_served_while_the_upstream_is_gone(registry: Registry) -> None:
    (theirs,) = registry.fake.npm("left-pad", {"1.3.0": tarball()})
    await registry.get("left-pad/-/left-pad-1.3.0.tgz")
    registry.fake.fault(down())

    reply = await registry.get("left-pad/-/left-pad-1.3.0.tgz")

    assert (reply.status, reply.body) == (200, theirs.body)


@pytest.mark.parametrize("path", ["left-pad", "left-pad/latest", "-/package/left-pad/dist-tags"])
async def test_an_old_copy_says_that_it_is_one(
    start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async with FaultyUpstream() as fake:
        fake.npm("left-pad", {"1.3.0": tarball()})
        upstreams = {"fake": fake.config("npm", max_age=0.0)}
        registry = Registry(await start_gateway({"npm": {"acme/widgets": public("fake")}}, upstreams), fake)
        fresh = await registry.get(path)
        monkeypatch.setattr(registry.gateway.services.documents, "_clock", lambda: time.time() + 7200.0)
        fake.fault(down())

        stale = await registry.get(path)
        unchanged = await registry.get(path, If_None_Match=fresh.headers["ETag"])
        fake.heal()
        healed = await registry.get(path)

    assert (stale.status, stale.body) == (200, fresh.body)
    assert unchanged.status == 304
    assert "older copy" in stale.headers["npm-notice"]
    assert "npm-notice" not in fresh.headers
    assert "npm-notice" not in healed.headers


async def test_an_upstream_in_trouble_is_not_absence(registry: Registry) -> None:
    registry.fake.fault(answer(500), "/npm/left-pad")

    reply = await registry.get("left-pad")

    assert reply.status == UpstreamTrouble.status
    assert "Retry-After" in reply.headers
    assert set(json.loads(reply.body)) == {"error"}


async def test_a_crowd_asks_the_upstream_once(registry: Registry) -> None:
    registry.fake.npm("left-pad", {"1.3.0": tarball()})

    replies = await asyncio.gather(*(registry.get("left-pad") for _ in range(50)))

    assert {reply.status for reply in replies} == {200}
    assert registry.fake.count("/npm/left-pad") == 1


async def test_a_warm_document_is_not_rendered_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    registry.fake.npm("left-pad", {"1.3.0": tarball()})
    monkeypatch.setattr(render, "full", lambda _, base: rendered.append(base) or b"{}")

    for accept in ("application/json", "application/json", "*/*", ""):
        await registry.get("left-pad", Accept=accept)

    assert rendered == [registry.base]


async def test_a_name_of_ours_is_never_asked_about(registry: Registry, token: str) -> None:
    registry.fake.npm("@acme/unpublished", {"99.0.0": tarball()})
    await registry.publish("@acme/lib", "1.0.0", token)
    registry.fake.npm("@acme/lib", {"99.0.0": tarball()})

    assert set((await registry.document("@acme/lib"))["versions"]) == {"1.0.0"}
    for path in ("@acme%2funpublished", "@acme/unpublished/-/unpublished-99.0.0.tgz", "@acme/lib/-/lib-99.0.0.tgz"):
        assert (await registry.get(path)).status == 404
    assert (await registry.get("@Acme%2flib")).status == 400
    assert registry.fake.count() == 0


async def test_a_merged_name_shows_hosted_tags_only(registry: Registry, token: str) -> None:
    registry.fake.npm("both", {"1.0.0": tarball(), "99.0.0": tarball()})
    reply, mine = await registry.publish("both", "1.0.0", token, tarball(size=10))

    document = await registry.document("both")

    assert reply.status == 201
    assert set(document["versions"]) == {"1.0.0", "99.0.0"}
    assert document["dist-tags"] == {"latest": "1.0.0"}
    assert document["versions"]["1.0.0"]["dist"]["integrity"] == mine.integrity
    assert (await registry.get("both/-/both-1.0.0.tgz")).body == mine.body


async def test_a_private_repository_asks_for_a_token_and_hides_from_strangers(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"npm": {"acme/widgets": private()}})
    stranger = await gateway.token("eve", is_admin=False)

    nobody = await gateway.get("npm/acme/widgets/lib")
    refused = await gateway.get("npm/acme/widgets/lib", stranger)

    assert nobody.status == 401
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.status == 404
    assert {"error"} == set(json.loads(nobody.body)) == set(json.loads(refused.body))


async def test_a_bad_token_is_refused_on_public_packages_too(registry: Registry) -> None:
    for path in ("left-pad", "-/whoami"):
        assert (await registry.get(path, "garbage")).status == 401


@pytest.mark.parametrize("path", ["-/nothing", "-/npm/v1/hooks", "-/all", "-/v1/nothing", "_changes", ".hidden", "-"])
async def test_unknown_routes_are_json(registry: Registry, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = await registry.gateway.request(method, registry.path + path, await registry.gateway.token())
        assert reply.status in {404, 405}
        assert reply.headers["Content-Type"] == "application/json"
        assert set(json.loads(reply.body)) == {"error"}


async def test_the_root_and_ping_answer(registry: Registry) -> None:
    assert json.loads((await registry.get("")).body)["registry"] == registry.base
    assert json.loads((await registry.get("-/ping?write=true")).body) == {}
