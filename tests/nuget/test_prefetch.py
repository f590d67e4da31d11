"""A packages.lock.json fills the cache, and a restore of it then needs no upstream; what `explain` says of a package."""

import json

import pytest

from adapters.nuget import ADAPTER
from adapters.nuget.prefetch import locked_packages
from gateway.errors import Invalid
from gateway.explain import explain
from gateway.prefetch import prefetch
from tests.conftest import key
from tests.fakes.faults import down
from tests.fakes.nuget import package
from tests.nuget.conftest import Feed

LOCK = {
    "version": 1,
    "dependencies": {
        "net6.0": {
            "Left.Pad": {"type": "Direct", "requested": "[1.0, )", "resolved": "1.0.0", "contentHash": "x"},
            "Mine": {"type": "Transitive", "resolved": "1.0.0"},
            "here": {"type": "Project", "dependencies": {"Left.Pad": "1.0.0"}},
        },
        "net6.0/linux-x64": {
            "left.pad": {"type": "Direct", "resolved": "1.0"},
            "Gone": {"type": "Transitive", "resolved": "9.9.9-RC"},
        },
    },
}
BODY = json.dumps(LOCK).encode()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_every_package_of_every_framework_is_wanted(start: bytes) -> None:
    found = list(dict.fromkeys(locked_packages(start + BODY)))

    assert found == [("left.pad", "1.0.0"), ("mine", "1.0.0"), ("gone", "9.9.9-rc")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<xml/>",
        b"[" * 50_000,
        b'{"dependencies": {"net6.0": {"../x": {"resolved": "1.0"}}}}',
        b'{"dependencies": {"net6.0": {"x": {"resolved": "../1"}}}}',
    ],
    ids=range(7),
)
def test_what_is_no_lock_file_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        list(locked_packages(body))


async def test_what_a_lock_file_names_is_fetched_and_then_served_without_the_upstream(feed: Feed, token: str) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package(size=400_000)})
    _, mine = await feed.publish("Mine", "1.0.0", token)

    fetched = [
        one
        async for one in prefetch(
            feed.gateway.services, ADAPTER.prefetch, key("nuget/acme/tools"), "packages.lock.json", BODY
        )
    ]

    by_name = {one.name: one for one in fetched}
    assert by_name["left.pad.1.0.0.nupkg"].size == len(theirs.body)
    assert by_name["mine.1.0.0.nupkg"].size == len(mine.body)
    assert by_name["gone.9.9.9-rc.nupkg"].why
    feed.fake.fault(down())
    assert (await feed.get("flat/left.pad/1.0.0/left.pad.1.0.0.nupkg")).body == theirs.body
    assert await feed.versions("left.pad") == ["1.0.0"]


async def test_explain_says_which_layer_answers_for_any_spelling(feed: Feed, token: str) -> None:
    feed.fake.nuget("Left.Pad", {"1.0.0": package(), "2.0.0": package()})
    await feed.publish("Mine", "1.0.0", token)

    theirs = await explain(feed.gateway.services, key("nuget/acme/tools"), "LEFT.pad")
    ours = await explain(feed.gateway.services, key("nuget/acme/tools"), "mine")

    assert (theirs.package, theirs.versions_seen) == ("left.pad", ("1.0.0", "2.0.0"))
    assert [step.verdict for step in theirs.steps] == ["not asked", "answers"]
    assert [step.verdict for step in ours.steps] == ["answers", "not asked"]
