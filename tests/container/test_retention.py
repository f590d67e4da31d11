"""What is collected and what retention lets go, with indexes, attachments and pushes in mind."""

import json
import os
import time
from functools import partial
from typing import Any

import pytest

from adapters.container.wire import ContainerFormat
from gateway.errors import ConfigInvalid
from gateway.housekeeping import Collection, Housekeeping
from gateway.model import Digest
from gateway.retention import plan, read_rules
from gateway.store.graph_rows import NodeRow, PointerRow, Snapshot
from tests.container.conftest import Hosting
from tests.container.talking import Registry
from tests.fakes.images import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, artifact, digest_of, image, index

DAY = 86400.0
NOW = 1000 * DAY


def named(letter: str) -> str:
    return digest_of(letter.encode())


def graph(
    nodes: dict[str, float], tags: dict[str, str], edges: dict[str, str] | None = None, **subjects: str
) -> Snapshot:
    """nodes: letter → age in days; tags: tag → letter; edges: letter → letters; subjects: letter → letter."""
    rows = {
        named(letter): NodeRow(
            named(letter),
            Digest.parse(named(letter)),
            1,
            OCI_MANIFEST,
            named(subjects[letter]) if letter in subjects else "",
            pushed_at=NOW - age * DAY,
        )
        for letter, age in nodes.items()
    }
    pointers = tuple(PointerRow(tag, named(x), NOW - nodes[x] * DAY, "ada#1") for tag, x in tags.items())
    named_by = {named(letter): frozenset(map(named, listed)) for letter, listed in (edges or {}).items()}
    return Snapshot("tool", rows, named_by, pointers)


def lets_go(snapshot: Snapshot, *rules: dict[str, Any]) -> tuple[set[str], set[str]]:
    letting = plan(snapshot, read_rules({"retention": list(rules)}), ContainerFormat().attached_to, NOW)
    letters = {named(letter): letter for letter in "abcdefgh"}
    return set(letting.tags), {letters[digest] for digest in letting.nodes}


def test_without_a_rule_everything_stays() -> None:
    assert lets_go(graph({"a": 900, "b": 900}, {"1": "a"})) == (set(), set())


def test_the_last_tags_of_a_pattern_stay() -> None:
    found = graph({"a": 3, "b": 2, "c": 1, "d": 9}, {"ci-1": "a", "ci-2": "b", "ci-3": "c", "1.0": "d"})

    assert lets_go(found, {"tags": ["ci-*"], "keep_last": 2}) == ({"ci-1"}, set())


def test_any_reason_to_stay_is_enough() -> None:
    found = graph({"a": 30, "b": 20, "c": 1}, {"1": "a", "2": "b", "3": "c"})

    assert lets_go(found, {"keep_last": 1, "pushed_days": 25}) == ({"1"}, set())
    assert lets_go(found, {"pulled_days": 5}) == ({"1", "2"}, set())


def test_the_first_rule_that_fits_decides() -> None:
    found = graph({"a": 30, "b": 30}, {"v1": "a", "ci": "b"})

    assert lets_go(found, {"tags": ["v*"]}, {"pushed_days": 5}) == ({"ci"}, set())


def test_what_no_tag_reaches_goes_and_what_an_index_lists_stays() -> None:
    found = graph({"a": 30, "b": 30, "c": 30, "d": 1}, {"1": "a"}, {"a": "b"})

    assert lets_go(found, {"untagged_days": 7}) == (set(), {"c"})


def test_attachments_stay_and_go_with_their_subject() -> None:
    kept = {"b": "a", "c": "b", "e": "d"}
    found = graph({"a": 30, "b": 30, "c": 30, "d": 30, "e": 30}, {"1": "a"}, **kept)

    assert lets_go(found, {"untagged_days": 7}) == (set(), {"d", "e"})


def test_a_signature_under_a_tag_of_its_own_goes_with_its_image() -> None:
    tags = {"1": "a", f"{named('a').replace(':', '-')}.sig": "b", f"{named('c').replace(':', '-')}.sig": "d"}
    found = graph({"a": 30, "b": 30, "c": 30, "d": 30}, tags)

    gone_tags, gone_nodes = lets_go(found, {"untagged_days": 7})

    assert gone_nodes == {"c", "d"}
    assert gone_tags == {f"{named('c').replace(':', '-')}.sig"}


@pytest.mark.parametrize("rule", [{"keep": 1}, {"tags": "x"}, {"keep_last": -1}, {"pushed_days": "x"}, "x"], ids=str)
def test_a_rule_that_cannot_be_meant_is_named(rule: Any) -> None:
    with pytest.raises(ConfigInvalid, match=r"settings\.retention\.0"):
        read_rules({"retention": [rule]})


# ── collection ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def collect(registry: Registry, *, dry_run: bool = False, later: float = 2 * DAY) -> Collection:
    services = registry.gateway.services
    house = Housekeeping(services.blob_rows, services.hosted, services.cache, clock=lambda: time.time() + later)
    return await house.collect(dry_run=dry_run)


def hexes(done: Collection) -> set[str]:
    return {hex_ for removal in done.removals for hex_, _ in removal.blobs}


async def test_blobs_that_no_manifest_names_are_collected_after_the_grace(hosting: Hosting) -> None:
    registry = await hosting()
    kept = image({"hello": b"kept\n"})
    await registry.push(kept, "1")
    await registry.upload(b"abandoned")

    assert hexes(await collect(registry, later=0)) == set()
    planned = await collect(registry, dry_run=True)
    done = await collect(registry)

    assert hexes(planned) == hexes(done) == {digest_of(b"abandoned").partition(":")[2]}
    assert (await registry.blob(digest_of(b"abandoned"))).status == 404
    for digest in kept.blobs:
        assert (await registry.blob(digest)).status == 200


async def test_everything_of_a_deleted_image_is_collected(hosting: Hosting) -> None:
    registry = await hosting()
    one = image({"hello": b"short-lived\n"})
    await registry.push(one, "1")
    assert (await registry.manifest(one.digest, "DELETE")).status == 202

    done = await collect(registry)

    assert hexes(done) == {digest.partition(":")[2] for digest in (one.digest, *one.blobs)}


async def test_blobs_that_an_index_lists_directly_survive(hosting: Hosting) -> None:
    """BuildKit keeps its cache so."""
    registry = await hosting()
    await registry.upload(b"cache layer")
    layer = {"mediaType": "application/octet-stream", "digest": digest_of(b"cache layer"), "size": 11}
    cache = index()
    document = cache.document
    document["manifests"] = [layer]
    body = json.dumps(document).encode()

    assert (await registry.push_manifest("cache", body, OCI_INDEX)).status == 201
    await collect(registry)

    assert (await registry.blob(digest_of(b"cache layer"))).status == 200


async def test_layers_stay_whatever_kind_their_manifest_is_said_to_be(hosting: Hosting) -> None:
    registry, one = await hosting(), image({"hello": b"1\n"})
    body = json.dumps({key: value for key, value in one.document.items() if key != "mediaType"}).encode()
    for digest, blob in one.blobs.items():
        await registry.upload(blob, digest=digest)

    kinds = (OCI_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST)
    assert [(await registry.push_manifest("1", body, kind)).status for kind in kinds] == [400, 201, 400, 201]
    await collect(registry)

    assert [(await registry.blob(digest)).status for digest in one.blobs] == [200, 200]


async def test_a_blob_that_a_pusher_was_told_of_stays_for_a_grace(hosting: Hosting) -> None:
    registry = await hosting()
    await registry.upload(b"layer")
    services = registry.gateway.services
    await services.database.write(lambda c: c.exec_driver_sql("UPDATE link SET seen_at = seen_at - 400000"))
    blob = services.hosted.path(Digest.parse(digest_of(b"layer")))
    os.utime(blob, (0, 0))

    assert (await registry.blob(digest_of(b"layer"), "HEAD")).status == 200
    await collect(registry, later=0)

    assert (await registry.blob(digest_of(b"layer"))).status == 200


async def test_retention_in_the_catalogue_does_what_its_dry_run_says(hosting: Hosting) -> None:
    registry = await hosting()
    old, new = image({"hello": b"old\n"}), index(image({"hello": b"new\n"}))
    await registry.push(old, "1")
    await registry.push(new, "2")
    signature = artifact("application/vnd.example.signature", b"signed", subject=new.described())
    await registry.push(signature)
    services = registry.gateway.services
    (repository,) = [one for one in services.known().values() if one.key.type == "container"]
    rules = read_rules({"retention": [{"keep_last": 1, "untagged_days": 0}]})
    letting = partial(plan, rules=rules, attached=ContainerFormat().attached_to, now=time.time() + 1)

    planned = await services.blob_rows.graphs.retain(repository.id, letting, dry_run=True)
    done = await services.blob_rows.graphs.retain(repository.id, letting, dry_run=False)

    assert planned == done
    assert [(one.tags, one.nodes) for one in done] == [(("1",), (old.digest,))]
    for one in (*new.everything, signature):
        assert (await registry.manifest(one.digest)).status == 200
    assert (await registry.manifest("1")).status == 404
