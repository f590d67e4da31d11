"""Audits over several upstreams (npm.md §12): each is asked for what it owns, and nobody for what is ours."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cachetools import TTLCache

from gateway.model import Scope
from tests.conftest import StartGateway, public
from tests.fakes.artifacts import tarball
from tests.fakes.faults import Fault, answer, down
from tests.fakes.upstream import FaultyUpstream
from tests.npm.conftest import Registry

BULK = "-/npm/v1/security/advisories/bulk"


def advisory(number: int) -> dict[str, Any]:
    return {"id": number, "title": "bad", "severity": "high", "vulnerable_versions": "<2"}


def say(fake: FaultyUpstream, **found: list[dict[str, Any]]) -> None:
    fake.serve(f"/npm/{BULK}", json.dumps(found).encode(), "application/json")


def asked(fake: FaultyUpstream) -> list[dict[str, list[str]]]:
    """What each audit that came to this upstream was about."""
    return [json.loads(seen.body) for seen in fake.seen if seen.method == "POST"]


async def audit(registry: Registry, token: str | None = None, **wanted: Any) -> tuple[dict[str, Any], str]:
    """The findings and the notice."""
    reply = await registry.send("POST", BULK, token, wanted)
    assert reply.status == 200, reply.body
    return json.loads(reply.body), reply.headers.get("npm-notice", "")


@pytest.fixture
async def second() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream() as fake:
        fake.npm("theirs", {"1.0.0": tarball()})
        yield fake


@pytest.fixture
async def two(start_gateway: StartGateway, second: FaultyUpstream) -> AsyncIterator[Registry]:
    """A registry over two upstreams; the first alone has `first`, the second alone has `theirs`."""
    async with FaultyUpstream() as fake:
        fake.npm("first", {"1.0.0": tarball()})
        repositories = {
            "npm": {"acme/widgets": public("hosted", "one", "two", reserve=("@acme/*", "planned"), merge=("both",))}
        }
        gateway = await start_gateway(repositories, {"one": fake.config("npm"), "two": second.config("npm")})
        yield Registry(gateway, fake)


async def test_each_upstream_is_asked_about_what_it_owns_and_the_answers_are_one(
    two: Registry, second: FaultyUpstream
) -> None:
    say(two.fake, first=[advisory(1)])
    say(second, theirs=[advisory(2)])

    found, notice = await audit(two, first=["1.0.0"], theirs=["1.0.0"], nobodys=["1.0.0"])

    assert found == {"first": [advisory(1)], "theirs": [advisory(2)]}
    assert notice == ""
    assert asked(two.fake) == [{"first": ["1.0.0"]}]
    assert asked(second) == [{"theirs": ["1.0.0"]}]


async def test_an_upstream_that_is_never_the_owner_hears_of_no_name(two: Registry, second: FaultyUpstream) -> None:
    say(two.fake)
    second.npm("first", {"99.0.0": tarball()})

    await audit(two, first=["1.0.0"])

    assert second.count() == 0


@pytest.mark.parametrize("name", ["@acme/secret", "planned", "tool", "both"])
async def test_what_is_ours_is_asked_of_nobody(two: Registry, second: FaultyUpstream, name: str) -> None:
    token = await two.gateway.token()
    await two.publish("tool", "1.0.0", token)
    say(two.fake, **{name: [advisory(1)]})
    say(second, **{name: [advisory(1)]})
    two.fake.seen.clear()
    second.seen.clear()

    found, notice = await audit(two, **{name: ["1.0.0"]})

    assert (found, notice) == ({}, "")
    assert (two.fake.count(), second.count()) == (0, 0)


async def test_an_upstream_is_not_believed_about_what_it_does_not_own(two: Registry, second: FaultyUpstream) -> None:
    say(two.fake, first=[], theirs=[advisory(666)], planned=[advisory(666)])
    say(second, theirs=[advisory(2)])

    found, _ = await audit(two, first=["1.0.0"], theirs=["1.0.0"], planned=["1.0.0"])

    assert found == {"theirs": [advisory(2)]}


@pytest.mark.parametrize("fault", [down(), answer(500), answer(403), answer(404)], ids=["down", "500", "403", "404"])
async def test_one_upstream_in_trouble_does_not_hide_what_the_other_found(
    two: Registry, second: FaultyUpstream, fault: Fault
) -> None:
    say(two.fake, first=[advisory(1)])
    await two.get("theirs")
    second.fault(fault)

    found, notice = await audit(two, first=["1.0.0"], theirs=["1.0.0"])

    assert found == {"first": [advisory(1)]}
    assert notice == "advisories are missing: two could not be asked"


async def test_a_name_whose_owner_cannot_be_told_is_not_given_to_the_next(
    two: Registry, second: FaultyUpstream
) -> None:
    two.fake.fault(down())
    say(second, theirs=[advisory(2)])

    found, notice = await audit(two, theirs=["1.0.0"])

    assert found == {}
    assert notice == "advisories are missing: theirs could not be asked"
    assert second.count() == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"first": 1}', b'{"first": {"id": 1}}', b'{"first": [', b"\xff", b"[" * 100_000,
     b'{"first": [' + b"[" * 100_000],
    ids=["empty", "list", "null", "number", "object", "cut", "bytes", "deep", "deeper"],
)  # fmt: skip
async def test_an_answer_that_cannot_be_read_is_no_answer_and_not_kept(two: Registry, body: bytes) -> None:
    two.fake.serve(f"/npm/{BULK}", body, "application/json")
    unread = await audit(two, first=["1.0.0"])
    say(two.fake, first=[advisory(1)])

    assert unread == ({}, "advisories are missing: one could not be asked")
    assert (await audit(two, first=["1.0.0"])) == ({"first": [advisory(1)]}, "")


async def test_what_was_asked_lately_is_not_asked_again(two: Registry) -> None:
    say(two.fake, first=[advisory(1)])

    before = await audit(two, first=["1.0.0"])
    again = await audit(two, first=["1.0.0"])
    two.fake.fault(down())
    without = await audit(two, first=["1.0.0"])

    assert before == again == without == ({"first": [advisory(1)]}, "")
    assert len(asked(two.fake)) == 1


async def test_an_answer_is_about_the_versions_that_were_asked_for(two: Registry) -> None:
    say(two.fake, first=[advisory(1)])
    await audit(two, first=["1.0.0"])
    say(two.fake)

    assert (await audit(two, first=["2.0.0"]))[0] == {}
    assert (await audit(two, first=["1.0.0"]))[0] == {"first": [advisory(1)]}
    assert (await audit(two, first=["1.0.0", "2.0.0"]))[0] == {}
    assert asked(two.fake)[1:] == [{"first": ["2.0.0"]}, {"first": ["1.0.0", "2.0.0"]}]


async def test_an_answer_is_kept_for_a_short_time_only(two: Registry) -> None:
    now = [0.0]
    memos = two.gateway.services.memos
    memos.answers = TTLCache(memos.answers.maxsize, memos.answers.ttl, timer=lambda: now[0], getsizeof=len)
    say(two.fake)
    await audit(two, first=["1.0.0"])
    say(two.fake, first=[advisory(1)])

    kept = await audit(two, first=["1.0.0"])
    now[0] += 301.0
    fresh = await audit(two, first=["1.0.0"])

    assert kept == ({}, "")
    assert fresh == ({"first": [advisory(1)]}, "")


async def test_what_is_kept_is_bounded_whatever_is_said(two: Registry) -> None:
    kept = two.gateway.services.memos.answers
    for number in range(40):
        say(two.fake, first=[{**advisory(number), "title": "x" * 240_000}])
        found, _ = await audit(two, first=[f"1.0.{number}"])
        assert found["first"][0]["id"] == number
    say(two.fake, first=[{**advisory(99), "title": "x" * 300_000}])
    before = len(kept)

    found, _ = await audit(two, first=["1.9.9"])

    assert found["first"][0]["id"] == 99
    assert len(kept) == before
    assert kept.currsize <= kept.maxsize


async def test_a_name_that_was_published_meanwhile_is_not_answered_from_what_was_kept(registry: Registry) -> None:
    say(registry.fake, tool=[advisory(1)])
    assert (await audit(registry, tool=["1.0.0"]))[0] == {"tool": [advisory(1)]}
    await registry.publish("tool", "1.0.0", await registry.gateway.token())

    assert await audit(registry, tool=["1.0.0"]) == ({}, "")


async def test_what_is_no_name_and_no_version_does_not_leave(registry: Registry) -> None:
    say(registry.fake)
    wanted = {"lib": ["1.0.0", 7, "../x", "a b"], "../x": ["1.0.0"], "@x%2flib": ["1.0.0"], "none": [], "odd": "1.0.0"}

    await audit(registry, **wanted)

    assert asked(registry.fake) == [{"lib": ["1.0.0"]}]


async def test_an_audit_of_more_names_than_any_tree_has_is_refused(registry: Registry) -> None:
    reply = await registry.send("POST", BULK, None, {f"p{number}": ["1.0.0"] for number in range(10_001)})

    assert reply.status == 400
    assert registry.fake.count() == 0


@pytest.mark.parametrize("body", [b"[1]", b"{", b"\x1f\x8b", b"[" * 100_000], ids=["list", "cut", "gzip", "deep"])
async def test_an_audit_that_cannot_be_read_is_refused(registry: Registry, body: bytes) -> None:
    reply = await registry.gateway.request("POST", registry.path + BULK, data=body)

    assert reply.status == 400
    assert set(json.loads(reply.body)) == {"error"}


async def test_a_token_for_one_package_asks_about_no_other(two: Registry) -> None:
    token = await two.gateway.token("ci", (Scope.READ,), packages=("first",))
    say(two.fake, first=[advisory(1)])

    found, _ = await audit(two, token, first=["1.0.0"], other=["1.0.0"])

    assert found == {"first": [advisory(1)]}
    assert asked(two.fake) == [{"first": ["1.0.0"]}]


async def test_audits_at_once_are_answered_each(two: Registry) -> None:
    say(two.fake, first=[advisory(1)])

    answers = await asyncio.gather(*(audit(two, first=["1.0.0"]) for _ in range(20)))

    assert answers == [({"first": [advisory(1)]}, "")] * 20


async def test_keys_are_those_of_every_upstream(two: Registry, second: FaultyUpstream) -> None:
    for fake, names in ((two.fake, ("a", "b")), (second, ("b", "c"))):
        body = json.dumps({"keys": [{"keyid": name, "from": fake.url} for name in names]}).encode()
        fake.serve("/npm/-/npm/v1/keys", body, "application/json")

    keys = json.loads((await two.get("-/npm/v1/keys")).body)["keys"]

    assert {key["keyid"]: key["from"] for key in keys} == {"a": two.fake.url, "b": two.fake.url, "c": second.url}


async def test_attestations_are_asked_of_the_upstream_that_has_the_package(
    two: Registry, second: FaultyUpstream
) -> None:
    body = {"attestations": [{"predicateType": "p", "bundle": {}}]}
    second.serve("/npm/-/npm/v1/attestations/theirs@1.0.0", json.dumps(body).encode(), "application/json")

    reply = await two.get("-/npm/v1/attestations/theirs@1.0.0")

    assert json.loads(reply.body) == body
    assert two.fake.count("/npm/-/npm/v1/attestations/theirs@1.0.0") == 0
