"""Publishing and changing packages over HTTP (npm.md §20, items 16 to 20, 22 to 27, 35, 37)."""

import asyncio
import base64
import gzip
import hashlib
import json

import pytest
from msgspec.structs import replace

from gateway import sources
from gateway.model import Listing, Scope
from gateway.store.rows import HostedPackage
from tests.conftest import StartGateway, public
from tests.fakes.artifacts import tar_gz_of, tarball
from tests.fakes.upstream import FaultyUpstream
from tests.npm.conftest import Registry
from tests.npm.documents import publication
from tests.npm.test_publishing import bundle


@pytest.mark.parametrize("name", ["@acme/lib", "plain"])
async def test_what_is_published_is_what_is_installed(registry: Registry, token: str, name: str) -> None:
    reply, built = await registry.publish(name, "1.0.0", token)
    document = await registry.document(name)

    answer = json.loads(reply.body)
    manifest = document["versions"]["1.0.0"]
    assert (reply.status, answer["ok"], answer["success"], answer["id"]) == (201, True, True, name)
    assert document["_rev"] == answer["rev"]
    assert document["dist-tags"] == {"latest": "1.0.0"}
    assert manifest["dist"]["integrity"] == built.integrity
    assert manifest["dist"]["fileCount"] == built.facts["dist"]["fileCount"]
    assert (await registry.get(manifest["dist"]["tarball"].removeprefix(registry.base))).body == built.body
    assert document["readme"] == f"# {name}"
    assert document["maintainers"] == [{"name": "ada"}]


async def test_the_order_of_the_document_does_not_matter(registry: Registry, token: str) -> None:
    document = dict(reversed(publication("@acme/lib", "1.0.0").items()))
    assert next(iter(document)) == "_attachments"

    assert (await registry.send("PUT", "@acme%2flib", token, document)).status == 201


async def test_a_first_publish_with_another_tag_sets_latest_too(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token, **{"dist-tags": {"beta": "1.0.0"}})
    await registry.publish("@acme/lib", "1.1.0", token, **{"dist-tags": {"beta": "1.1.0"}})

    assert (await registry.document("@acme/lib"))["dist-tags"] == {"beta": "1.1.0", "latest": "1.0.0"}


def _with_dist(**dist):
    document = publication("@acme/lib", "1.0.0")
    document["versions"]["1.0.0"]["dist"] |= dist
    return document


def _with_data(body):
    document = publication("@acme/lib", "1.0.0")
    document["versions"]["1.0.0"]["dist"] = {}
    document["_attachments"]["@acme/lib-1.0.0.tgz"] = {"data": base64.b64encode(body).decode()}
    return document


OTHER = json.dumps({"name": "@acme/other", "version": "1.0.0"}).encode()


@pytest.mark.parametrize(
    "document",
    [
        _with_dist(integrity="sha512-" + "A" * 86 + "=="),
        _with_dist(shasum="0" * 40),
        publication("@acme/other", "1.0.0"),
        publication("@acme/lib", "not-semver"),
        publication("@acme/lib", "1.0.0", **{"dist-tags": {"1.x": "1.0.0"}}),
        publication("@acme/lib", "1.0.0", versions={}),
        _with_data(tar_gz_of({"package/package.json": OTHER})),
        _with_data(tar_gz_of({"../evil": b"x", "package/package.json": OTHER})),
        _with_data(b"not a tarball"),
        _with_data(b""),
        _with_data(gzip.compress(b"")),
        {"_id": "@acme/lib", "name": "@acme/lib"},
        [],
        "x",
    ],
    ids=range(14),
)
async def test_a_bad_publish_is_refused_and_nothing_is_kept(registry: Registry, token: str, document: object) -> None:
    reply = await registry.send("PUT", "@acme%2flib", token, document)

    assert 400 <= reply.status < 500
    assert set(json.loads(reply.body)) == {"error"}
    assert (await registry.get("@acme%2flib")).status == 404
    hosted = registry.gateway.services.hosted
    assert list(hosted.walk()) == []
    assert list((hosted.root / "uploads").iterdir()) == []


async def test_a_wrong_length_is_refused(registry: Registry, token: str) -> None:
    document = publication("@acme/lib", "1.0.0")
    document["_attachments"]["@acme/lib-1.0.0.tgz"]["length"] += 1

    assert (await registry.send("PUT", "@acme%2flib", token, document)).status == 400


@pytest.mark.parametrize("name", ["Upper", "@acme/Upper", "x" * 215, "node_modules"])
async def test_a_name_of_old_is_not_published(registry: Registry, token: str, name: str) -> None:
    assert (await registry.publish(name, "1.0.0", token))[0].status == 400


async def test_a_duplicate_is_refused_in_the_words_that_tools_look_for(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    reply, _ = await registry.publish("@acme/lib", "1.0.0", token, tarball(size=10))

    assert reply.status == 403
    assert json.loads(reply.body)["error"] == "You cannot publish over the previously published versions: 1.0.0."


async def test_the_same_publish_again_is_a_retry_for_its_sender_only(
    registry: Registry, token: str, admin: str
) -> None:
    await registry.publish("@acme/lib", "1.0.0", token)

    again, _ = await registry.publish("@acme/lib", "1.0.0", token)
    other, _ = await registry.publish("@acme/lib", "1.0.0", admin)

    assert (again.status, other.status) == (201, 403)


async def test_of_two_publishes_at_once_one_wins(registry: Registry, token: str, admin: str) -> None:
    replies = await asyncio.gather(
        registry.publish("@acme/lib", "1.0.0", token, tarball(size=10)),
        registry.publish("@acme/lib", "1.0.0", admin, tarball(size=20)),
    )

    assert sorted(reply.status for reply, _ in replies) == [201, 403]


async def test_publishing_needs_the_right_to(registry: Registry) -> None:
    reader = await registry.gateway.token("eve", is_admin=False)

    assert (await registry.publish("@acme/lib", "1.0.0", None))[0].status == 401
    assert (await registry.publish("@acme/lib", "1.0.0", reader))[0].status == 403


async def test_a_name_that_an_upstream_knows_needs_a_claim(registry: Registry, token: str) -> None:
    registry.fake.npm("left-pad", {"1.3.0": tarball()})

    first, _ = await registry.publish("left-pad", "2.0.0", token)
    await registry.get("left-pad/-/left-pad-1.3.0.tgz")
    second, _ = await registry.publish("left-pad", "2.0.0", token)
    document = await registry.document("left-pad")
    document["versions"]["1.3.0"]["deprecated"] = "mine now"
    third = await registry.send("PUT", "left-pad", token, document)

    assert [first.status, second.status, third.status] == [403, 403, 403]
    assert b"claim" in first.body


async def test_strictness_can_be_switched_off(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"npm": {"acme/widgets": public(settings={"strict": False})}})
    async with FaultyUpstream() as fake:
        registry = Registry(gateway, fake)
        token = await gateway.token()
        document = publication("lib", "1.0.0", tarball(dependencies={"a": "1"}).build("lib", "1.0.0"))
        document["versions"]["1.0.0"]["dependencies"] = {}

        assert (await registry.send("PUT", "lib", token, document)).status == 201


async def test_deprecating_changes_nothing_else(registry: Registry, token: str) -> None:
    await registry.publish("@acme/lib", "1.0.0", token, tarball(dependencies={"a": "1"}))
    before = await registry.document("@acme/lib")
    sent = await registry.document("@acme/lib", token)
    sent["versions"]["1.0.0"] |= {"deprecated": "old", "dependencies": {"evil": "1"}}
    first = await registry.send("PUT", "@acme%2flib", token, sent)
    deprecated = await registry.document("@acme/lib")
    back = json.loads(json.dumps(deprecated))
    back["versions"]["1.0.0"]["deprecated"] = ""
    second = await registry.send("PUT", "@acme%2flib", token, back)
    after = await registry.document("@acme/lib")

    assert (first.status, second.status) == (201, 201)
    assert deprecated["versions"]["1.0.0"] == before["versions"]["1.0.0"] | {"deprecated": "old"}
    assert after["versions"] == before["versions"]


async def test_who_does_not_see_a_version_deprecates_and_removes_others_without_it(
    registry: Registry, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npm.md §20, item 25; what is hidden here stands for what a rule hides."""
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        await registry.publish("@acme/lib", version, token)
    real = sources.hosted_listing
    memos = registry.gateway.services.memos

    def hide(package: str, hosted: HostedPackage) -> Listing:
        listing = real(package, hosted)
        return replace(listing, files=tuple(file for file in listing.files if file.version != "2.0.0"))

    monkeypatch.setattr("gateway.pull.hosted_listing", hide)
    seen = await registry.document("@acme/lib")
    seen["versions"]["1.0.0"]["deprecated"] = "old"
    deprecated = await registry.send("PUT", "@acme%2flib", token, seen)
    seen = await registry.document("@acme/lib")
    removed = await registry.send(
        "PUT", f"@acme%2flib/-rev/{seen['_rev']}", token, {**seen, "versions": {}, "dist-tags": {}}
    )
    monkeypatch.undo()
    memos.pages.clear()
    after = await registry.document("@acme/lib")

    assert set(seen["versions"]) == {"1.0.0", "1.1.0"}
    assert seen["versions"]["1.0.0"]["deprecated"] == "old"
    assert (deprecated.status, removed.status) == (201, 201)
    assert set(after["versions"]) == {"2.0.0"}
    assert after["dist-tags"] == {"latest": "2.0.0"}
    assert (await registry.get("@acme/lib/-/lib-2.0.0.tgz")).status == 200


async def _published(registry: Registry, token: str) -> dict:
    for version in ("1.0.0", "1.1.0"):
        reply, _ = await registry.publish("@acme/lib", version, token)
        assert reply.status == 201, reply.body
    return await registry.document("@acme/lib", token)


async def test_npm_unpublishes_although_its_delete_goes_to_a_nonsense_address(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    del document["versions"]["1.1.0"]
    document["dist-tags"] = {"latest": "1.0.0"}

    put = await registry.send("PUT", f"@acme%2flib/-rev/{document['_rev']}", token, document)
    nonsense = f"npm/acme/widgets/@acme/lib/-/lib-1.1.0.tgz/-rev/{document['_rev']}"
    deleted = await registry.send("DELETE", nonsense, token)
    republished, _ = await registry.publish("@acme/lib", "1.1.0", token)

    assert (put.status, deleted.status) == (201, 404)
    after = await registry.document("@acme/lib")
    assert set(after["versions"]) == {"1.0.0"}
    assert after["dist-tags"] == {"latest": "1.0.0"}
    assert (await registry.get("@acme/lib/-/lib-1.1.0.tgz")).status == 404
    assert republished.status == 403
    assert b"previously published versions: 1.1.0" in republished.body


async def test_the_delete_that_follows_a_removal_goes_well(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    del document["versions"]["1.1.0"]
    await registry.send("PUT", f"@acme%2flib/-rev/{document['_rev']}", token, document)
    rev = (await registry.document("@acme/lib", token))["_rev"]

    for path in ("@acme/lib/-/lib-1.1.0.tgz", "@acme%2flib/-/@acme/lib-1.1.0.tgz"):
        assert (await registry.send("DELETE", f"{path}/-rev/{rev}", token)).status == 200


@pytest.mark.parametrize(
    "path", ["coped-lib/-/lib-1.1.0.tgz", "lib/-/@acme/lib-1.1.0.tgz", "@acme/none/-/none-1.0.0.tgz"]
)
async def test_a_garbled_delete_is_unknown_and_asks_no_upstream(registry: Registry, token: str, path: str) -> None:
    await _published(registry, token)

    assert (await registry.send("DELETE", f"{path}/-rev/1-0", token)).status == 404
    assert registry.fake.count() == 0


async def test_a_delete_without_the_put_removes_the_version_too(registry: Registry, token: str) -> None:
    document = await _published(registry, token)

    stale = await registry.send("DELETE", "@acme/lib/-/lib-1.1.0.tgz/-rev/1-0", token)
    deleted = await registry.send("DELETE", f"@acme/lib/-/lib-1.1.0.tgz/-rev/{document['_rev']}", token)

    assert (stale.status, deleted.status) == (409, 200)
    assert (await registry.document("@acme/lib"))["dist-tags"] == {"latest": "1.0.0"}


async def test_a_stale_revision_is_a_conflict(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    await registry.publish("@acme/lib", "1.2.0", token)
    del document["versions"]["1.1.0"]

    for rev in (document["_rev"], "undefined"):
        assert (await registry.send("PUT", f"@acme%2flib/-rev/{rev}", token, document)).status == 409
        assert (await registry.send("DELETE", f"@acme%2flib/-rev/{rev}", token)).status == 409
    assert set((await registry.document("@acme/lib"))["versions"]) == {"1.0.0", "1.1.0", "1.2.0"}


async def test_a_missing_version_without_a_revision_is_no_removal(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    del document["versions"]["1.1.0"]

    assert (await registry.send("PUT", "@acme%2flib", token, document)).status == 201
    assert set((await registry.document("@acme/lib"))["versions"]) == {"1.0.0", "1.1.0"}


async def test_unpublishing_everything_leaves_the_name_ours(registry: Registry, token: str) -> None:
    registry.fake.npm("@acme/lib", {"99.0.0": tarball()})
    document = await _published(registry, token)

    reply = await registry.send("DELETE", f"@acme%2flib/-rev/{document['_rev']}", token)
    republished, _ = await registry.publish("@acme/lib", "1.0.0", token)

    assert reply.status == 200
    assert (await registry.get("@acme%2flib")).status == 404
    assert republished.status == 403
    assert (await registry.publish("@acme/lib", "2.0.0", token))[0].status == 201
    assert registry.fake.count() == 0


async def test_removing_needs_the_scope_to_delete(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    writer = await registry.gateway.token(scopes=(Scope.READ, Scope.WRITE))
    rev = document["_rev"]
    del document["versions"]["1.1.0"]

    for reply in (
        await registry.send("PUT", f"@acme%2flib/-rev/{rev}", writer, document),
        await registry.send("DELETE", f"@acme%2flib/-rev/{rev}", writer),
        await registry.send("DELETE", f"@acme/lib/-/lib-1.1.0.tgz/-rev/{rev}", writer),
    ):
        assert reply.status == 403
    assert len((await registry.document("@acme/lib"))["versions"]) == 2


async def test_tags_are_listed_set_and_removed(registry: Registry, token: str) -> None:
    await _published(registry, token)
    path = "-/package/@acme%2flib/dist-tags"

    put = await registry.send("PUT", f"{path}/next", token, "1.0.0")
    post = await registry.send("POST", f"{path}/old", token, "1.0.0")
    listed = json.loads((await registry.get(path)).body)
    removed = await registry.send("DELETE", f"{path}/old", token)

    assert (put.status, post.status, removed.status) == (201, 201, 200)
    assert listed == {"latest": "1.1.0", "next": "1.0.0", "old": "1.0.0"}
    assert json.loads((await registry.get(path)).body) == {"latest": "1.1.0", "next": "1.0.0"}


async def test_impossible_tags_are_refused(registry: Registry, token: str) -> None:
    await _published(registry, token)
    path = "-/package/@acme%2flib/dist-tags"

    assert (await registry.send("PUT", f"{path}/next", token, "9.9.9")).status == 404
    assert (await registry.send("PUT", f"{path}/1.x", token, "1.0.0")).status == 400
    assert (await registry.send("PUT", f"{path}/next", token, {"version": "1.0.0"})).status == 400
    assert (await registry.send("DELETE", f"{path}/latest", token)).status == 403
    assert (await registry.send("DELETE", f"{path}/never", token)).status == 404
    assert (await registry.get("-/package/@acme%2fnone/dist-tags")).status == 404


async def test_stars_are_ones_own(registry: Registry, token: str) -> None:
    document = await _published(registry, token)
    reader = await registry.gateway.token("eve", is_admin=False)

    starred = await registry.send(
        "PUT", "@acme%2flib", token, {"_id": "@acme/lib", "_rev": document["_rev"], "users": {"ada": True, "bob": True}}
    )
    direct = await registry.send("PUT", "-/user/package/@acme%2flib/star", reader)
    listed = json.loads((await registry.get("-/_view/starredByUser?key=%22eve%22")).body)
    users = (await registry.document("@acme/lib"))["users"]
    unstarred = await registry.send("DELETE", "-/user/package/@acme%2flib/star", reader)

    assert (starred.status, direct.status, unstarred.status) == (201, 200, 200)
    assert users == {"ada": True, "eve": True}
    assert listed["rows"] == [{"value": "@acme/lib"}]
    assert (await registry.document("@acme/lib"))["users"] == {"ada": True}


async def test_a_staged_version_cannot_be_installed_before_it_is_approved(registry: Registry, token: str) -> None:
    built = tarball().build("@acme/lib", "1.0.0")
    staged = await registry.send("POST", "-/stage/package/@acme%2flib", token, publication("@acme/lib", "1.0.0"))
    stage_id = json.loads(staged.body)["stageId"]
    again = await registry.send("POST", "-/stage/package/@acme%2flib", token, publication("@acme/lib", "1.0.0"))
    hidden = await registry.get("@acme%2flib")
    listed = json.loads((await registry.get("-/stage?page=0&perPage=100&package=@acme%2flib", token)).body)
    viewed = json.loads((await registry.get(f"-/stage/{stage_id}", token)).body)
    bytes_ = (await registry.get(f"-/stage/{stage_id}/tarball", token)).body
    approved = await registry.send("POST", f"-/stage/{stage_id}/approve", token)

    assert (staged.status, again.status, hidden.status, approved.status) == (201, 409, 404, 201)
    assert (listed["total"], listed["items"][0]["id"]) == (1, stage_id)
    assert (viewed["packageName"], viewed["version"], viewed["tag"]) == ("@acme/lib", "1.0.0", "latest")
    assert viewed["shasum"] == built.sha1
    assert bytes_ == built.body
    assert (await registry.get("@acme/lib/-/lib-1.0.0.tgz")).body == built.body
    assert (await registry.get(f"-/stage/{stage_id}", token)).status == 404


async def test_a_rejected_stage_is_gone_and_strangers_see_none(registry: Registry, token: str) -> None:
    staged = await registry.send("POST", "-/stage/package/@acme%2flib", token, publication("@acme/lib", "1.0.0"))
    stage_id = json.loads(staged.body)["stageId"]
    stranger = await registry.gateway.token("eve", is_admin=False)

    for who in (None, stranger):
        assert (await registry.get(f"-/stage/{stage_id}/tarball", who)).status == 404
        assert json.loads((await registry.get("-/stage", who)).body)["items"] == []
    assert (await registry.send("POST", f"-/stage/{stage_id}/approve", stranger)).status == 404
    assert (await registry.send("DELETE", f"-/stage/{stage_id}", token)).status == 200
    assert (await registry.send("POST", f"-/stage/{stage_id}/approve", token)).status == 404
    assert (await registry.publish("@acme/lib", "1.0.0", token))[0].status == 201


async def test_provenance_is_kept_and_served(registry: Registry, token: str) -> None:
    built = tarball().build("@acme/lib", "1.0.0")
    text = bundle("pkg:npm/%40acme/lib@1.0.0", "1.0.0", hashlib.sha512(built.body).hexdigest())
    document = publication("@acme/lib", "1.0.0", built)
    document["_attachments"]["@acme/lib-1.0.0.sigstore"] = {"content_type": "application/vnd.x", "data": text}

    assert (await registry.send("PUT", "@acme%2flib", token, document)).status == 201
    url = (await registry.document("@acme/lib"))["versions"]["1.0.0"]["dist"]["attestations"]["url"]
    served = json.loads((await registry.get(url.removeprefix(registry.base))).body)

    assert url == f"{registry.base}-/npm/v1/attestations/@acme%2flib@1.0.0"
    assert served == {"attestations": [{"predicateType": "https://slsa.dev/provenance/v1", "bundle": json.loads(text)}]}
    assert (await registry.get("-/npm/v1/attestations/@acme%2flib@2.0.0")).status == 404


async def test_the_visibility_that_npm_asks_for_before_provenance(registry: Registry, token: str, admin: str) -> None:
    assert (await registry.get("-/package/@acme%2flib/visibility", token)).status == 404
    await registry.publish("@acme/lib", "1.0.0", token)
    assert json.loads((await registry.get("-/package/@acme%2flib/visibility")).body) == {"public": True}

    changed = await registry.send("POST", "-/package/@acme%2flib/access", admin, {"access": "restricted"})

    assert changed.status == 200
    assert (await registry.get("@acme%2flib")).status == 401
    assert json.loads((await registry.get("-/package/@acme%2flib/visibility", admin)).body) == {"public": False}


async def test_publishing_as_restricted_needs_an_admin_and_restricts(
    registry: Registry, token: str, admin: str
) -> None:
    refused, _ = await registry.publish("@acme/lib", "1.0.0", token, access="restricted")
    done, _ = await registry.publish("@acme/lib", "1.0.0", admin, access="restricted")

    assert (refused.status, done.status) == (403, 201)
    assert (await registry.get("@acme%2flib")).status == 401
