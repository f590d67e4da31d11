"""What every OCI registry must do with manifests (distribution-spec, "Pulling manifests", "Push", "Content Management").

Each kind of content goes through one life: pushed, listed, read, found by its subject, deleted. The cases are those of
the published conformance suite, which docs/conformance.md tells how to run as well.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import Reply, private
from tests.container.conftest import Hosting
from tests.container.talking import Registry, codes, lines
from tests.fakes.artifacts import noise
from tests.fakes.images import OCI_INDEX, OCI_MANIFEST, Image, artifact, descriptor, digest_of, image, index

EXAMPLE = "application/vnd.example.thing.v1"
AMD = image({"hello": b"amd\n"})
ARM = image({"hello": b"arm\n"}, architecture="arm64")


def edited(one: Image, change: Callable[[dict[str, Any]], None]) -> Image:
    """The same content under a changed manifest."""
    document = one.document
    change(document)
    return replace(one, body=json.dumps(document).encode())


def inlined(document: dict[str, Any]) -> None:
    """Descriptors may carry the bytes themselves (descriptor.md, `data`)."""
    document["config"]["data"] = "e30="


def foreign(document: dict[str, Any]) -> None:
    """Layers that the registry never holds (layer.md, non-distributable)."""
    far = descriptor(noise(64, "far"), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    document["layers"].insert(0, {**far, "size": 123456, "urls": ["https://store.example.com/layer"]})


def unheard_of(document: dict[str, Any]) -> None:
    document["org.example.unknown"] = {"kept": True}


def layerless(document: dict[str, Any]) -> None:
    document["layers"] = []


def plain_layers(document: dict[str, Any]) -> None:
    document["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar"


KINDS: dict[str, Image] = {
    "image": image(
        {"hello": b"1\n"}, layers=(gzip.compress(b"", mtime=0), gzip.compress(noise(500, "second"), mtime=0))
    ),
    "image with plain layers": edited(AMD, plain_layers),
    "large manifest": image({"hello": b"1\n"}, annotations={f"large-{n}": "A" * 10000 for n in range(390)}),
    "index": index(AMD, ARM),
    "nested index": index(index(AMD), index(ARM)),
    "empty index": index(),
    "artifact": artifact(EXAMPLE, b"content"),
    "artifact index": index(artifact(EXAMPLE, b"a"), artifact(EXAMPLE, b"b"), artifactType=EXAMPLE),
    "artifact without layers": artifact(EXAMPLE, b"{}"),
    "data field": edited(artifact(EXAMPLE, b"content"), inlined),
    "foreign layers": edited(AMD, foreign),
    "custom fields": edited(AMD, unheard_of),
    "no layers": edited(AMD, layerless),
}


async def assert_readable(registry: Registry, reference: str, one: Image, digest: str = "") -> None:
    head, whole = await registry.manifest(reference, "HEAD"), await registry.manifest(reference)
    for reply in (head, whole):
        assert reply.status == 200
        assert reply.headers["Content-Type"] == one.media_type
        assert reply.headers["Content-Length"] == str(len(one.body))
        assert reply.headers["Docker-Content-Digest"] == (digest or one.digest)
    assert (head.body, whole.body) == (b"", one.body)


async def assert_gone(registry: Registry, reference: str) -> None:
    gone = await registry.manifest(reference)
    assert gone.status == 404
    assert codes(gone) in (["MANIFEST_UNKNOWN"], ["NAME_UNKNOWN"])


async def tags_of(registry: Registry, query: str = "") -> list[str]:
    listed = await registry.tags(query)
    assert listed.status == 200
    answer = await listed.json()
    assert answer["name"] == registry.name
    tags: list[str] = answer["tags"]
    return tags


async def found(registry: Registry, subject: str, query: str = "") -> tuple[Reply, list[dict[str, Any]]]:
    reply = await registry.referrers(subject, query)
    assert (reply.status, reply.headers["Content-Type"]) == (200, OCI_INDEX)
    document = json.loads(reply.body)
    assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
    return reply, document["manifests"]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_content_is_kept_byte_for_byte_until_it_is_deleted(hosting: Hosting, kind: str) -> None:
    registry, one = await hosting(), KINDS[kind]

    pushed = await registry.push(one, "1.0")

    assert pushed.status == 201
    assert pushed.headers["Docker-Content-Digest"] == one.digest
    assert (await registry.follow("GET", pushed.headers["Location"])).body == one.body
    assert await tags_of(registry) == ["1.0"]
    await assert_readable(registry, "1.0", one)
    for part in one.everything:
        await assert_readable(registry, part.digest, part)
        for digest, body in part.blobs.items():
            assert (await registry.blob(digest)).body == body
    assert (await registry.manifest("1.0", "DELETE")).status == 202
    await assert_gone(registry, "1.0")
    await assert_readable(registry, one.digest, one)
    for part in reversed(one.everything):
        assert (await registry.manifest(part.digest, "DELETE")).status == 202
        await assert_gone(registry, part.digest)
    for digest in {digest for part in one.everything for digest in part.blobs}:
        assert (await registry.blob(digest, "DELETE")).status == 202
        assert (await registry.blob(digest)).status == 404


async def test_referrers_are_found_by_their_subject_and_filtered_by_type(hosting: Hosting) -> None:
    registry = await hosting()
    subject = image({"hello": b"1\n"})
    notes = {"org.example.note": "hello"}
    plain = image({"hello": b"2\n"}, subject=subject.described())
    signed = artifact(EXAMPLE, b"s", subject=subject.described(), annotations=notes)
    listed = index(AMD, artifactType="application/example.list", subject=subject.described())
    await registry.push(subject, "1")

    answers = [await registry.push(plain), await registry.push(signed, "signed"), await registry.push(listed)]
    _, everything = await found(registry, subject.digest)
    filtered, only = await found(registry, subject.digest, f"?artifactType={EXAMPLE}")

    assert [answer.headers["OCI-Subject"] for answer in answers] == [subject.digest] * 3
    types = {plain.digest: plain.document["config"]["mediaType"], signed.digest: EXAMPLE}
    types[listed.digest] = "application/example.list"
    assert {one["digest"]: one["artifactType"] for one in everything} == types
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert only == [{**signed.described(), "artifactType": EXAMPLE, "annotations": notes}]
    assert (await registry.manifest(signed.digest, "DELETE")).status == 202
    assert [one["digest"] for one in (await found(registry, subject.digest, f"?artifactType={EXAMPLE}"))[1]] == []


async def test_what_a_migrated_tag_lists_is_found_where_it_is_true(hosting: Hosting) -> None:
    """Registries without the API keep such lists under a tag; tools that migrate copy it (distribution-spec)."""
    registry = await hosting()
    subject = image({"hello": b"1\n"})
    signed, liar = artifact(EXAMPLE, b"s", subject=subject.described()), artifact(EXAMPLE, b"l")
    await registry.push(subject, "1")
    await registry.push(index(signed, liar), subject.digest.replace(":", "-"))

    _, listed = await found(registry, subject.digest)

    assert [one["digest"] for one in listed] == [signed.digest]
    assert await tags_of(registry) == ["1", subject.digest.replace(":", "-")]


async def test_an_attachment_makes_no_tag(hosting: Hosting) -> None:
    registry = await hosting()
    subject = image({"hello": b"1\n"})
    await registry.push(subject, "1")

    await registry.push(artifact(EXAMPLE, b"s", subject=subject.described()))

    assert await tags_of(registry) == ["1"]


async def test_a_subject_need_not_be_there(hosting: Hosting) -> None:
    registry = await hosting()
    absent = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"missing content"), "size": 123}
    one = artifact(EXAMPLE, b"content", subject=absent)

    pushed = await registry.push(one, "1")

    assert (pushed.status, pushed.headers["OCI-Subject"]) == (201, absent["digest"])
    assert [entry["digest"] for entry in (await found(registry, str(absent["digest"])))[1]] == [one.digest]


async def test_a_sparse_repository_takes_manifests_whose_content_is_elsewhere(hosting: Hosting) -> None:
    registry = await hosting(private("hosted", settings={"sparse": True}))
    lacking = replace(AMD, blobs={AMD.document["config"]["digest"]: AMD.blobs[AMD.document["config"]["digest"]]})
    both = index(lacking, replace(ARM, blobs={}))

    assert (await registry.push(lacking, "image")).status == 201
    assert (await registry.push_manifest("index", both.body, both.media_type)).status == 201

    await assert_readable(registry, "index", both)


async def test_other_repositories_want_the_whole(hosting: Hosting) -> None:
    registry = await hosting()

    for one in (AMD, index(AMD)):
        refused = await registry.push_manifest("1", one.body, one.media_type)
        assert (refused.status, codes(refused)[0]) == (400, "MANIFEST_BLOB_UNKNOWN")
    await assert_gone(registry, "1")


async def test_content_can_be_named_by_sha512(hosting: Hosting) -> None:
    registry = await hosting()
    one = index(image({"hello": b"512\n"}, algorithm="sha512"), algorithm="sha512")

    pushed = await registry.push(one)

    assert (pushed.status, pushed.headers["Docker-Content-Digest"]) == (201, one.digest)
    for part in one.everything:
        await assert_readable(registry, part.digest, part)
    assert (await registry.manifest(one.digest, "DELETE")).status == 202
    await assert_gone(registry, one.digest)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_push_by_digest_can_set_tags(hosting: Hosting, algorithm: str) -> None:
    registry = await hosting()
    one = image({"hello": b"tagged\n"}, algorithm=algorithm)
    wanted = [f"tag-{number}" for number in range(10)]
    for body in one.blobs.values():
        await registry.upload(body, digest=digest_of(body, algorithm))

    pushed = await registry.push_manifest(one.digest, one.body, one.media_type, *wanted)

    assert (pushed.status, pushed.headers["Docker-Content-Digest"]) == (201, one.digest)
    assert sorted(tag.strip() for line in lines(pushed, "OCI-Tag") for tag in line.split(",")) == wanted
    assert await tags_of(registry) == wanted
    assert (await registry.manifest("tag-3")).body == one.body
    await assert_readable(registry, one.digest, one)


async def test_a_manifest_that_is_not_what_its_digest_says_is_refused(hosting: Hosting) -> None:
    registry = await hosting()
    await registry.push(AMD)

    for reference in (AMD.digest, "sha256:baddigeststring"):
        refused = await registry.push_manifest(reference, AMD.body + b"  ", AMD.media_type)
        assert (refused.status, codes(refused)) == (400, ["DIGEST_INVALID"])

    await assert_readable(registry, AMD.digest, AMD)


async def test_what_nobody_pushed_is_unknown(hosting: Hosting) -> None:
    registry = await hosting()

    await assert_gone(registry, digest_of(b"nobody"))
    await assert_gone(registry, "missing")
    assert (await registry.manifest("sha256:baddigeststring")).status in {400, 404}
    assert (await registry.referrers("sha256:baddigeststring")).status == 400


async def test_a_name_without_content_has_no_referrers_and_no_tags(hosting: Hosting) -> None:
    registry = await hosting()

    listed = await registry.tags()

    assert listed.status == 404 or (await listed.json())["tags"] == []
    assert (await found(registry, digest_of(b"nobody")))[1] == []


async def test_tags_are_listed_in_order_and_in_parts(hosting: Hosting) -> None:
    registry = await hosting()
    await registry.push(AMD, "b")
    for tag in ("a", "d", "c", "A"):
        await registry.push_manifest(tag, AMD.body, AMD.media_type)

    assert await tags_of(registry) == ["A", "a", "b", "c", "d"]
    assert await tags_of(registry, "?last=b") == ["c", "d"]
    assert await tags_of(registry, "?last=bb&n=1") == ["c"]
    nothing, unread = await registry.tags("?n=0"), await registry.tags("?n=many")
    assert ((await nothing.json())["tags"], "Link" in nothing.headers) == ([], False)
    assert (await unread.json())["tags"] == ["A", "a", "b", "c", "d"]


async def test_a_chart_is_kept_under_its_version_with_an_underscore_for_the_plus(hosting: Hosting) -> None:
    """As helm pushes it, by the calls of oras."""
    registry, content = await hosting(), gzip.compress(b"Chart.yaml", mtime=0)
    config, layer = "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    chart = edited(image({}, layers=(content,)), lambda document: document.update(config=descriptor(b"{}", config)))
    chart = edited(chart, lambda document: document.update(layers=[descriptor(content, layer)]))
    chart = replace(chart, blobs={digest_of(b"{}"): b"{}", digest_of(content): content})

    assert (await registry.push(chart, "1.0.0_build.1")).status == 201

    await assert_readable(registry, "1.0.0_build.1", chart)
    assert (await registry.blob(digest_of(content))).body == content
    refused = await registry.push_manifest("1.0.0+build.1", chart.body, chart.media_type)
    assert (refused.status, codes(refused)) == (400, ["TAG_INVALID"])


async def test_deleting_a_digest_removes_its_tags_and_no_others(hosting: Hosting) -> None:
    registry = await hosting()
    await registry.push(AMD, "1")
    await registry.push_manifest("latest", AMD.body, AMD.media_type)
    await registry.push(ARM, "arm")

    assert (await registry.manifest(AMD.digest, "DELETE")).status == 202

    assert await tags_of(registry) == ["arm"]
    await assert_gone(registry, "latest")
    await assert_readable(registry, "arm", ARM)


async def test_the_root_answers_who_is_known_and_asks_who_is_not(hosting: Hosting) -> None:
    registry = await hosting()

    known = await registry.gateway.get("v2/", registry.token)
    stranger = await registry.gateway.get("v2/")

    assert (known.status, json.loads(known.body)) == (200, {})
    assert known.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert stranger.status == 401
    assert stranger.headers["WWW-Authenticate"].startswith("Bearer realm=")
