"""What every OCI registry must do with blobs (distribution-spec, "Pulling blobs", "Pushing Blobs"), said in our words.

The cases are those of the published conformance suite, which docs/conformance.md tells how to run as well.
"""

from dataclasses import replace

import pytest

from tests.container.conftest import Hosting
from tests.container.talking import SHAPES, Registry, chunks, codes
from tests.fakes.artifacts import noise
from tests.fakes.images import digest_of

ALGORITHMS = pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
BODY = noise(3 * 1024 - 5, "blob")


async def assert_readable(registry: Registry, digest: str, body: bytes) -> None:
    head, whole = await registry.blob(digest, "HEAD"), await registry.blob(digest)
    assert (head.status, whole.status) == (200, 200)
    assert head.headers["Content-Length"] == str(len(body))
    assert head.headers["Docker-Content-Digest"] == whole.headers["Docker-Content-Digest"] == digest
    assert head.headers["Accept-Ranges"] == "bytes"
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert whole.body == body


@ALGORITHMS
async def test_a_blob_that_is_not_there_is_unknown(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    missing = digest_of(b"missing", algorithm)

    assert (await registry.blob(missing, "HEAD")).status == 404
    refused = await registry.blob(missing)

    assert (refused.status, codes(refused)) == (404, ["BLOB_UNKNOWN"])


@ALGORITHMS
async def test_a_blob_can_be_sent_in_every_shape_and_deleted(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    digest = digest_of(BODY, algorithm)

    for shape in SHAPES:
        done = await registry.upload(BODY, shape, digest=digest)

        assert done.status == 201, shape
        assert done.headers["Docker-Content-Digest"] == digest, shape
        assert (await registry.follow("GET", done.headers["Location"])).body == BODY, shape
        await assert_readable(registry, digest, BODY)
        assert (await registry.blob(digest, "DELETE")).status == 202, shape
        assert (await registry.blob(digest, "HEAD")).status == 404, shape


@ALGORITHMS
async def test_a_blob_that_is_not_what_its_digest_says_is_refused(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    promised = digest_of(BODY, algorithm)

    for shape in SHAPES:
        refused = await registry.upload(BODY + b"oh no", shape, digest=promised)

        assert (refused.status, codes(refused)) == (400, ["DIGEST_INVALID"]), shape
        assert (await registry.blob(promised)).status == 404, shape


@ALGORITHMS
@pytest.mark.parametrize("finish", ["PATCH", "PUT"])
async def test_a_chunk_out_of_order_is_refused_and_the_upload_goes_on(
    hosting: Hosting, algorithm: str, finish: str
) -> None:
    registry = await hosting()
    digest = digest_of(BODY, algorithm)
    parts = list(chunks(BODY, 3))
    location = (await registry.begin()).headers["Location"]
    accepted = 0

    for number, (start, part) in enumerate(parts):
        wrong, other = parts[(number + 1) % 3]
        if finish == "PUT" and wrong + len(other) == len(BODY):
            at = f"{wrong}-{wrong + len(other) - 1}"
            refused = await registry.put(location, digest, other, Content_Range=at)
        else:
            refused = await registry.patch(location, other, wrong)
        asked = await registry.follow("GET", refused.headers["Location"])

        assert refused.status == 416
        assert asked.status == 204
        assert asked.headers["Range"] == refused.headers["Range"] == f"0-{max(0, accepted - 1)}"
        location = (await registry.patch(asked.headers["Location"], part, start)).headers["Location"]
        accepted += len(part)

    assert (await registry.put(location, digest)).status == 201
    await assert_readable(registry, digest, BODY)


@ALGORITHMS
async def test_a_blob_can_be_mounted_from_another_name(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    other = replace(registry, name="container/acme/app/other")
    digest = digest_of(BODY, algorithm)
    await other.upload(BODY, digest=digest)

    mounted = await registry.mount(digest, other.name)

    assert mounted.status == 201
    assert (await registry.follow("GET", mounted.headers["Location"])).body == BODY
    await assert_readable(registry, digest, BODY)


@ALGORITHMS
async def test_a_blob_can_be_mounted_from_wherever_it_may_be_read(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    digest = digest_of(BODY, algorithm)
    await replace(registry, name="container/acme/app/other").upload(BODY, digest=digest)

    mounted = await registry.mount(digest)

    assert mounted.status == 201
    await assert_readable(registry, digest, BODY)


@ALGORITHMS
async def test_a_mount_of_what_is_not_there_begins_an_upload(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    digest = digest_of(BODY, algorithm)

    begun = await registry.mount(digest, "container/acme/app/other")

    assert begun.status == 202
    assert (await registry.put(begun.headers["Location"], digest, BODY)).status == 201
    await assert_readable(registry, digest, BODY)


async def test_an_upload_can_be_cancelled(hosting: Hosting) -> None:
    registry = await hosting()
    location = (await registry.begin()).headers["Location"]

    assert (await registry.follow("DELETE", location)).status == 204

    refused = await registry.follow("GET", location)
    assert (refused.status, codes(refused)) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@ALGORITHMS
async def test_parts_of_a_blob_can_be_asked_for(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    body = noise(2048, "ranges")
    digest = digest_of(body, algorithm)
    await registry.upload(body, digest=digest)

    for asked, first, last in (
        ("500-1499", 500, 1499),
        ("500-", 500, 2047),
        ("-500", 1548, 2047),
        ("2000-5000", 2000, 2047),
    ):
        part = await registry.blob(digest, Range=f"bytes={asked}")
        assert part.status == 206, asked
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/2048"
        assert part.headers["Content-Length"] == str(last - first + 1)
        assert part.body == body[first : last + 1]
    for asked in ("500-0", "5000-10000"):
        refused = await registry.blob(digest, Range=f"bytes={asked}")
        assert (refused.status, refused.headers["Content-Range"]) == (416, "bytes */2048"), asked


async def test_several_parts_at_once_are_never_the_first_one_alone(hosting: Hosting) -> None:
    """c/image asks so for zstd:chunked layers, and would take a plain 206 for the first part's stream."""
    registry = await hosting()
    body = noise(2048, "ranges")
    await registry.upload(body)

    reply = await registry.blob(digest_of(body), Range="bytes=0-9,20-29")

    if reply.status == 200:
        assert reply.body == body
    else:
        assert reply.status == 206
        assert reply.headers["Content-Type"].startswith("multipart/byteranges")
        assert reply.body.index(body[:10]) < reply.body.index(body[20:30])


async def test_a_blob_is_never_encoded_anew(hosting: Hosting) -> None:
    registry = await hosting()
    body = b"easily compressed " * 5000
    await registry.upload(body)

    reply = await registry.blob(digest_of(body), Accept_Encoding="zstd;q=1.0, gzip;q=0.8, deflate")

    assert (reply.body, reply.headers["Content-Length"]) == (body, str(len(body)))
    assert "Content-Encoding" not in reply.headers


@ALGORITHMS
@pytest.mark.parametrize("body", [b"", b"{}"], ids=["empty", "empty JSON"])
async def test_the_smallest_blobs_go_through_every_shape(hosting: Hosting, algorithm: str, body: bytes) -> None:
    registry = await hosting()
    digest = digest_of(body, algorithm)

    for shape in SHAPES:
        if not body and shape == "last chunk in put":
            continue  # nothing has no last chunk
        assert (await registry.upload(body, shape, digest=digest)).status == 201, shape
        await assert_readable(registry, digest, body)
        assert (await registry.blob(digest, "DELETE")).status == 202, shape
