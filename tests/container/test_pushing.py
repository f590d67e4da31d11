"""Pushing as real clients do, and what must not be possible: broken uploads, lies, other people's layers."""

import asyncio
import json
import socket
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.config import ServerConfig
from gateway.model import Scope
from tests.conftest import StartGateway, private
from tests.container.conftest import Hosting
from tests.container.talking import Registry, codes
from tests.fakes.artifacts import noise
from tests.fakes.images import DOCKER_MANIFEST, OCI_MANIFEST, Image, artifact, digest_of, image, index

BODY = noise(300_000, "layer")


# ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_bytes_of_a_broken_request_count(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]
    url = urlsplit(registry.gateway.url)
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {registry.token}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(head.encode() + BODY[:100_000])
        await asyncio.sleep(0.3)

    offset = 0
    for _ in range(100):
        told = await registry.follow("GET", location)
        assert told.status in {204, 404}
        offset = int(told.headers["Range"].partition("-")[2]) + 1
        if offset == 100_000:
            break
        await asyncio.sleep(0.05)
    for _ in range(100):
        resumed = await registry.patch(location, BODY[offset:], offset)
        if resumed.status != 409:  # as long as the gateway has not noticed that the first one is gone
            break
        await asyncio.sleep(0.05)
    done = await registry.put(resumed.headers["Location"], digest_of(BODY))

    assert offset == 100_000
    assert (resumed.status, done.status) == (202, 201)
    assert (await registry.blob(digest_of(BODY))).body == BODY


async def test_an_upload_belongs_to_its_image_and_its_owner(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]
    id_ = location.rpartition("/")[2]
    bob = await registry.gateway.token("bob", is_admin=True)

    elsewhere = await Registry(registry.gateway, "container/acme/app/other", registry.token).call(
        "GET", f"blobs/uploads/{id_}"
    )
    anothers = await Registry(registry.gateway, registry.name, bob).follow("PATCH", location, b"x")

    for refused in (elsewhere, anothers):
        assert (refused.status, codes(refused)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    for guess in ("..", "x", "a" * 32, "%2e%2e%2fx"):
        assert (await registry.call("PATCH", f"blobs/uploads/{guess}", b"x")).status in {400, 404}


async def test_two_requests_never_write_to_one_upload_at_once(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]
    started, release = asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        yield BODY[:1000]
        started.set()
        await release.wait()
        yield BODY[1000:2000]

    first = asyncio.ensure_future(registry.follow("PATCH", location, slow()))
    await started.wait()
    while (second := await registry.follow("PATCH", location, b"intruder")).status == 202:
        pytest.fail("both wrote")
    release.set()

    assert second.status == 409
    assert (await first).status == 202
    assert (await registry.put(location, digest_of(BODY[:2000]))).status == 201


async def test_two_chunks_without_ranges_are_appended(hosting: Hosting) -> None:
    """The .NET SDK sends them so."""
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]

    for part in (BODY[:1000], BODY[1000:3000]):
        location = (await registry.patch(location, part)).headers["Location"]

    assert (await registry.put(location, digest_of(BODY[:3000]))).status == 201


@pytest.mark.parametrize(("text", "code"), [("0-9", "SIZE_INVALID"), ("x", "BLOB_UPLOAD_INVALID")])
async def test_a_range_that_does_not_fit_its_bytes_is_refused(hosting: Hosting, text: str, code: str) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]

    refused = await registry.follow("PATCH", location, b"12345", Content_Range=text)

    assert (refused.status, codes(refused)) == (400, [code])
    assert (await registry.follow("GET", location)).headers["Range"] == "0-0"


async def test_an_upload_beyond_the_limit_is_refused(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        {"container": {"acme/app": private("hosted")}}, server=ServerConfig(max_upload_size=1000)
    )
    registry = Registry(gateway, token=await gateway.token())

    for shape in ("post", "put", "one chunk", "chunks", "stream"):
        refused = await registry.upload(noise(2000, "big"), shape)
        assert (refused.status, codes(refused)) == (413, ["SIZE_INVALID"]), shape


async def test_without_a_setting_a_layer_of_five_gibibytes_is_welcome(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]
    where = urlsplit(registry.gateway.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)

    writer.write(
        f"PATCH {urlsplit(location).path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {registry.token}\r\n"
        f"Content-Length: {5 * 1024**3}\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    answered = await reader.readline()
    writer.close()

    assert answered == b"HTTP/1.1 100 Continue\r\n"


async def test_two_uploads_of_the_same_bytes_may_race(hosting: Hosting) -> None:
    registry = await hosting()

    done = await asyncio.gather(*(registry.upload(BODY, shape) for shape in ("put", "stream", "post", "chunks")))

    assert {reply.status for reply in done} == {201}


async def test_who_may_only_read_pushes_nothing(hosting: Hosting) -> None:
    registry = await hosting()
    reader = await registry.gateway.token("bob", (Scope.READ, Scope.WRITE, Scope.DELETE), is_admin=False)
    await registry.gateway.grant("bob", "read", "container/acme/app")
    one = image({"hello": b"1\n"})
    await registry.push(one, "1")

    for token, status in ((reader, 403), (None, 401)):
        stranger = Registry(registry.gateway, registry.name, token)
        assert (await stranger.begin()).status == status
        assert (await stranger.push_manifest("2", one.body, OCI_MANIFEST)).status == status
        assert (await stranger.manifest("1", "DELETE")).status == status
    assert (await registry.manifest("1")).status == 200


async def test_write_does_not_imply_delete(hosting: Hosting) -> None:
    registry = await hosting()
    writer = await registry.gateway.token("bob", is_admin=False)
    await registry.gateway.grant("bob", "write", "container/acme/app")
    mine = Registry(registry.gateway, registry.name, writer)
    one = image({"hello": b"1\n"})
    assert (await mine.push(one, "1")).status == 201

    for reference in ("1", one.digest):
        refused = await mine.manifest(reference, "DELETE")
        assert (refused.status, codes(refused)) == (403, ["DENIED"])
    refused = await mine.blob(one.layers[0], "DELETE")
    assert (refused.status, codes(refused)) == (403, ["DENIED"])
    assert (await mine.follow("DELETE", (await mine.begin()).headers["Location"])).status == 204


async def test_a_blob_is_not_deleted_while_a_manifest_names_it(hosting: Hosting) -> None:
    registry = await hosting()
    one = image({"hello": b"1\n"})
    await registry.push(one, "1")

    refused = await registry.blob(one.layers[0], "DELETE")

    assert (refused.status, codes(refused)) == (405, ["UNSUPPORTED"])
    assert (await registry.blob(one.layers[0])).status == 200
    await registry.manifest(one.digest, "DELETE")
    assert (await registry.blob(one.layers[0], "DELETE")).status == 202


async def test_an_upload_that_ended_with_another_digest_is_gone(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]

    assert (await registry.put(location, digest_of(b"promised"), b"sent")).status == 400

    gone = await registry.follow("GET", location)
    assert (gone.status, codes(gone)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert (await registry.put(location, digest_of(b"promised"), b"promised")).status == 404


# ── other people's layers ────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_digest_opens_nothing_that_its_reader_may_not_read(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"container": {"acme/secret": private("hosted"), "bob/own": private("hosted")}})
    owner = Registry(gateway, "container/acme/secret/tool", await gateway.token())
    secret = image({"secret": b"layer\n"})
    await owner.push(secret, "1")
    bob = await gateway.token("bob", is_admin=False)
    mine = Registry(gateway, "container/bob/own/tool", bob)
    digest = next(iter(secret.blobs))

    assert (await mine.blob(digest)).status == 404
    assert (await mine.blob(digest, "HEAD")).status == 404
    for source in (None, "container/acme/secret/tool", "container/no/such/tool", "nonsense"):
        refused = await mine.mount(digest, source)
        assert refused.status == 202
        assert refused.headers["Location"].startswith("/v2/container/bob/own/tool/blobs/uploads/")
    lacking = await mine.push_manifest("1", secret.body, secret.media_type)
    assert (lacking.status, codes(lacking)) == (400, ["MANIFEST_BLOB_UNKNOWN"])


async def test_a_layer_of_a_restricted_image_is_mounted_by_nobody_else(hosting: Hosting) -> None:
    registry = await hosting()
    secret = Registry(registry.gateway, "container/acme/app/secret", registry.token)
    await secret.upload(BODY)
    services = registry.gateway.services
    (repository,) = services.known().values()
    await services.packages.set_restricted(repository.id, "secret", True)
    bob = await registry.gateway.token("bob", is_admin=False)
    await registry.gateway.grant("bob", "write", "container/acme/app")
    mine = Registry(registry.gateway, registry.name, bob)

    refused = [await mine.mount(digest_of(BODY), source) for source in (secret.name, None)]

    assert [reply.status for reply in refused] == [202, 202]
    assert (await mine.blob(digest_of(BODY))).status == 404
    assert (await mine.put(refused[0].headers["Location"], digest_of(BODY), BODY)).status == 201


async def test_a_readable_layer_is_mounted_without_its_bytes(hosting: Hosting) -> None:
    registry = await hosting()
    await registry.upload(BODY)
    other = Registry(registry.gateway, "container/acme/app/other", registry.token)

    named = await other.mount(digest_of(BODY), registry.name)
    below = await registry.gateway.request(
        "POST", f"container/acme/app/v2/third/blobs/uploads/?mount={digest_of(BODY)}&from=tool", registry.token
    )
    anonymous = await Registry(registry.gateway, "container/acme/app/fourth", registry.token).mount(digest_of(BODY))

    assert (named.status, below.status, anonymous.status) == (201, 201, 201)
    assert (await other.blob(digest_of(BODY))).body == BODY


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"not json", OCI_MANIFEST),
        (b"[]", OCI_MANIFEST),
        (b"{}", ""),
        (b'{"mediaType": "application/other"}', OCI_MANIFEST),
        (b'{"mediaType": 5}', OCI_MANIFEST),
        (b'{"layers": [{"digest": "sha256:short"}]}', OCI_MANIFEST),
        (b'{"layers": {}}', OCI_MANIFEST),
        (b'{"config": "x"}', OCI_MANIFEST),
        (b'{"annotations": {"a": 1}}', OCI_MANIFEST),
        (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (b"[" * 100_000, OCI_MANIFEST),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_manifest_is_refused(hosting: Hosting, body: bytes, media_type: str) -> None:
    registry = await hosting()

    refused = await registry.push_manifest("1", body, media_type)

    assert (refused.status, codes(refused)) == (400, ["MANIFEST_INVALID"])


async def test_a_manifest_beyond_four_mebibytes_is_refused(hosting: Hosting) -> None:
    registry = await hosting()

    refused = await registry.push_manifest("1", b" " * (4 * 1024 * 1024 + 1), OCI_MANIFEST)

    assert (refused.status, codes(refused)) == (413, ["SIZE_INVALID"])


async def test_a_manifest_is_given_as_it_is_whatever_is_accepted(hosting: Hosting) -> None:
    registry = await hosting()
    one = image({"hello": b"1\n"})
    await registry.push(one, "1")

    for accept in ("", "*/*", "application/vnd.docker.distribution.manifest.v2+json", "text/html"):
        reply = await registry.manifest("1", Accept=accept, Accept_Encoding="zstd;q=1.0, gzip;q=0.8")
        assert (reply.body, reply.headers["Content-Type"]) == (one.body, one.media_type)
        assert "Content-Encoding" not in reply.headers
        assert reply.headers["Content-Length"] == str(len(one.body))


async def test_a_long_list_of_referrers_comes_in_parts(hosting: Hosting) -> None:
    registry = await hosting()
    subject = image({"hello": b"1\n"})
    await registry.push(subject)
    pushed = []
    for number in range(5):
        one = artifact("application/vnd.example", b"%d" % number, subject=subject.described())
        one = edited(one, {"annotations": {"text": "x" * 900_000}})
        assert (await registry.push(one)).status == 201
        pushed.append(one.digest)

    found: list[str] = []
    reply = await registry.referrers(subject.digest, "?artifactType=application/vnd.example")
    for _ in range(10):
        found += [one["digest"] for one in (await reply.json())["manifests"]]
        if "Link" not in reply.headers:
            break
        reply = await registry.follow("GET", reply.headers["Link"].partition("<")[2].partition(">")[0])

    assert found == pushed


def edited(one: Image, changes: dict[str, Any]) -> Image:
    """The same content under a changed manifest."""
    return replace(one, body=json.dumps({**one.document, **changes}).encode())


def attestation_of(one: Image) -> Image:
    """What BuildKit says of how an image was built: a manifest of one in-toto layer, for no platform."""
    said = artifact("application/vnd.in-toto+json", one.digest.encode())
    return edited(said, {"layers": [{**said.document["layers"][0], "mediaType": "application/vnd.in-toto+json"}]})


async def test_a_walk_over_many_tags_meets_each_once_in_order(hosting: Hosting) -> None:
    registry = await hosting()
    tool, tags = image({"hello": b"1\n"}), [f"1.{number}" for number in range(2500)]
    await registry.push(tool)
    for start in range(0, len(tags), 100):
        batch = tags[start : start + 100]
        assert (await registry.push_manifest(tool.digest, tool.body, tool.media_type, *batch)).status == 201

    page = await registry.tags("?n=700")
    met = list((await page.json())["tags"])
    while "Link" in page.headers:
        page = await registry.follow("GET", page.headers["Link"].partition("<")[2].partition(">")[0])
        met += (await page.json())["tags"]
    capped = (await (await registry.tags("?n=1000000000")).json())["tags"]

    assert met == sorted(tags)
    assert capped == sorted(tags)[: len(capped)]
    assert 0 < len(capped) < len(tags)


# ── immutable tags ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_immutable_tag_does_not_move(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["v*"]}))
    first, second = image({"hello": b"1\n"}), image({"hello": b"2\n"})
    await registry.push(first, "v1")

    refused = await registry.push(second, "v1")

    assert (refused.status, codes(refused)) == (403, ["DENIED"])
    assert first.digest in refused.body.decode()
    assert (await registry.push(first, "v1")).status == 201
    assert (await registry.manifest("v1", "DELETE")).status == 403
    assert (await registry.manifest(first.digest, "DELETE")).status == 403
    assert (await registry.push(second, "latest")).status == 201
    assert (await registry.push(first, "latest")).status == 201


async def test_an_immutable_tag_takes_what_dockerd_puts_there_in_one_push(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["*"]}))
    platform = image({"hello": b"1\n"})
    attestation = attestation_of(platform)
    whole = index(platform, attestation)

    for one in (attestation, platform, whole):
        assert (await registry.push(one, "v1")).status == 201, one.document
    bob = Registry(registry.gateway, registry.name, await registry.gateway.token("bob", is_admin=True))

    assert (await registry.manifest("v1")).body == whole.body
    assert (await registry.push(platform, "v1")).status == 403
    assert (await bob.push(index(whole), "v1")).status == 403


@pytest.mark.parametrize("order", ["aAbB", "BbAa", "ABab", "abAB"])
async def test_an_immutable_tag_takes_an_image_for_several_platforms_in_one_push(hosting: Hosting, order: str) -> None:
    """Images (`a`, `b`) and their attestations (`A`, `B`) come in any order, the index of all at last."""
    registry = await hosting(private("hosted", settings={"immutable": ["*"]}))
    amd, arm = image({"hello": b"1\n"}), image({"hello": b"1\n"}, architecture="arm64")
    parts = {"a": amd, "b": arm, "A": attestation_of(amd), "B": attestation_of(arm)}
    whole = index(amd, arm, parts["A"], parts["B"])

    for one in [*(parts[letter] for letter in order), whole]:
        assert (await registry.push(one, "v1")).status == 201, one.document

    assert (await registry.manifest("v1")).body == whole.body
    assert [(await registry.push(one, "v1")).status for one in parts.values()] == [403] * 4


async def test_an_immutable_tag_does_not_take_two_builds_for_one_platform(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["*"]}))
    await registry.push(image({"hello": b"1\n"}, architecture="arm64"), "v1")
    await registry.push(image({"hello": b"1\n"}), "v1")

    again = await registry.push(image({"hello": b"2\n"}), "v1")
    nameless = await registry.push(artifact("application/vnd.example", b"x"), "v1")
    bob = Registry(registry.gateway, registry.name, await registry.gateway.token("bob", is_admin=True))
    theirs = await bob.push(image({"hello": b"1\n"}, architecture="s390x"), "v1")

    assert [again.status, nameless.status, theirs.status] == [403, 403, 403]


async def test_what_an_immutable_tag_points_to_does_not_become_another_kind(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["v*"]}))
    one = image({"hello": b"1\n"})
    one = replace(one, body=json.dumps({k: v for k, v in one.document.items() if k != "mediaType"}).encode())
    await registry.push(one, "v1")

    for reference in ("v1", "other", one.digest):
        refused = await registry.push_manifest(reference, one.body, DOCKER_MANIFEST)
        assert (refused.status, codes(refused)) == (403, ["DENIED"]), reference

    assert (await registry.manifest("v1")).headers["Content-Type"] == OCI_MANIFEST
    assert (await registry.push(one, "v1")).status == 201


@pytest.mark.parametrize(("seconds", "status"), [(590, 201), (610, 403)])
async def test_an_immutable_tag_takes_the_parts_of_one_push_for_ten_minutes(
    hosting: Hosting, seconds: int, status: int
) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["*"]}))
    platform = image({"hello": b"1\n"})
    await registry.push(platform, "v1")
    await registry.gateway.services.database.write(
        lambda connection: connection.exec_driver_sql("UPDATE pointer SET moved_at = moved_at - ?", (seconds,))
    )

    assert (await registry.push(index(platform), "v1")).status == status


async def test_signatures_may_be_overwritten_under_immutable_tags(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"immutable": ["*"]}))
    tag = f"{digest_of(b'image').replace(':', '-')}.sig"

    for content in (b"one", b"two"):
        assert (await registry.push(artifact("application/vnd.example.sig", content), tag)).status == 201


async def test_every_move_of_a_tag_is_written_down(hosting: Hosting) -> None:
    registry = await hosting()
    first, second = image({"hello": b"1\n"}), image({"hello": b"2\n"})
    await registry.push(first, "1")
    await registry.push(second, "1")
    await registry.manifest("1", "DELETE")

    entries = await registry.gateway.services.audit.list(package="tool")

    moves = [(entry.action, dict(entry.detail["tags"])) for entry in entries if entry.detail.get("tags")]
    assert moves == [("delete", {"1": second.digest}), ("publish", {"1": first.digest}), ("publish", {"1": ""})]
