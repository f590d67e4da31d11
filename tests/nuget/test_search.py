"""Search and autocompletion over what is published here (checklist 15, 21 to 23)."""

import pytest

from tests.fakes.nuget import package
from tests.nuget.conftest import Feed


async def publish_some(feed: Feed, token: str) -> None:
    await feed.publish("Json.Core", "1.0.0", token, package(metadata={"tags": "fast json", "authors": "Ada"}))
    await feed.publish("Json.Core", "2.0.0-beta", token)
    await feed.publish("JsonNetExtras", "1.0.0", token, package(metadata={"description": "More of it"}))
    await feed.publish("Some.Tool", "1.0.0", token, package(types=("DotnetTool",)))
    await feed.publish("Modern", "1.0.0-rc.1", token)


QUERIES = [
    ("q=", ["Json.Core", "JsonNetExtras", "Some.Tool"]),
    ("", ["Json.Core", "JsonNetExtras", "Some.Tool"]),
    ("q=json", ["Json.Core", "JsonNetExtras"]),
    ("q=JSON.CORE", ["Json.Core"]),
    ("q=extras", ["JsonNetExtras"]),
    ("q=packageid:json.core", ["Json.Core"]),
    ("q=packageid:json", []),
    ("q=id:json", ["Json.Core", "JsonNetExtras"]),
    ("q=tags:fast", ["Json.Core"]),
    ("q=author:ada", ["Json.Core"]),
    ("q=owner:acme", ["Json.Core", "JsonNetExtras", "Some.Tool"]),
    ("q=owner:other", []),
    ("q=version:1.0&take=1", ["Json.Core"]),
    ("q=%22more+of+it%22", ["JsonNetExtras"]),
    ("q=nothing", []),
    ("q=&skip=1&take=1", ["JsonNetExtras"]),
    ("q=&packageType=DotnetTool", ["Some.Tool"]),
    ("q=&packageTypes=dotnettool", ["Some.Tool"]),
    ("q=&packageTypeFilter=DotnetTool", ["Some.Tool"]),
    ("q=&packageType=Nothing", []),
    ("q=&packageType=", ["Json.Core", "JsonNetExtras", "Some.Tool"]),
    ("q=modern&prerelease=True", []),
    ("q=modern&prerelease=True&semVerLevel=2.0.0", ["Modern"]),
    ("q=modern&prerelease=false&semVerLevel=2.0.0", []),
]


async def test_what_queries_find(feed: Feed, token: str) -> None:
    await publish_some(feed, token)

    for query, ids in QUERIES:
        assert await feed.found(query) == ids, query


async def test_a_hit_is_complete_and_counts_in_whole_numbers(feed: Feed, token: str) -> None:
    await publish_some(feed, token)

    whole = await feed.json("search?q=json.core&prerelease=true")

    (hit,) = whole["data"]
    assert whole["totalHits"] == 1
    assert (hit["version"], [one["version"] for one in hit["versions"]]) == ("2.0.0-beta", ["1.0.0", "2.0.0-beta"])
    assert (hit["owners"], hit["authors"], hit["verified"]) == (["acme"], ["tests"], False)
    assert hit["packageTypes"] == [{"name": "Dependency"}]
    assert type(hit["totalDownloads"]) is int
    for address in (hit["@id"], hit["registration"], hit["versions"][0]["@id"]):
        assert (await feed.get(address.removeprefix(feed.base))).status == 200


async def test_total_hits_are_those_before_the_page(feed: Feed, token: str) -> None:
    await publish_some(feed, token)

    assert (await feed.json("search?q=&take=1"))["totalHits"] == 3
    assert (await feed.json("search?q=&packageType=Nothing"))["totalHits"] == 0


@pytest.mark.parametrize("query", ["skip=x", "take=-1", "take=1.5", "skip=99999999999"])
async def test_a_number_that_is_none_is_refused(feed: Feed, query: str) -> None:
    assert (await feed.get(f"search?q=&{query}")).status == 400


async def test_autocompletion_gives_ids_and_versions(feed: Feed, token: str) -> None:
    await publish_some(feed, token)

    assert (await feed.json("autocomplete?q=json"))["data"] == ["Json.Core", "JsonNetExtras"]
    assert (await feed.json("autocomplete?id=json.core"))["data"] == ["1.0.0"]
    assert (await feed.json("autocomplete?id=JSON.Core&prerelease=true"))["data"] == ["1.0.0", "2.0.0-beta"]
    assert (await feed.json("autocomplete?id=nothing"))["data"] == []
    assert (await feed.json("autocomplete?id=../x"))["data"] == []


async def test_of_too_many_packages_those_are_searched_first_whose_id_is_asked_for(
    feed: Feed, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pull._MOST_LISTED", 2)
    await publish_some(feed, token)

    assert await feed.found("q=tool") == ["Some.Tool"]
    assert await feed.found("q=packageid:some.tool") == ["Some.Tool"]
    assert (await feed.json("autocomplete?q=some"))["data"] == ["Some.Tool"]
    assert len(await feed.found("q=")) <= 2
