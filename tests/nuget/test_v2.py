"""The v2 protocol (checklist 17, 36, 37)."""

import xml.etree.ElementTree as ET
from urllib.parse import quote, urlsplit

import pytest

from adapters.nuget import odata, odata_filter
from gateway.errors import Invalid
from tests.fakes.nuget import package
from tests.nuget.conftest import Feed

ATOM = "{http://www.w3.org/2005/Atom}"
DATA = "{http://schemas.microsoft.com/ado/2007/08/dataservices}"


async def entries(feed: Feed, path: str, token: str | None = None) -> list[ET.Element]:
    reply = await feed.get(path, token)
    assert reply.status == 200, (reply.status, reply.body)
    assert reply.headers["Content-Type"].startswith("application/atom+xml")
    return ET.fromstring(reply.body).findall(f"{ATOM}entry")


def value(entry: ET.Element, name: str) -> str | None:
    found = entry.find(f".//{DATA}{name}")
    assert found is not None
    return found.text


def labels(found: list[ET.Element]) -> list[tuple[str | None, str | None]]:
    return [(value(entry, "Id"), value(entry, "Version")) for entry in found]


@pytest.mark.parametrize("path", ["v2", "v2/", "v3/v2/"])
async def test_clients_that_probe_find_a_service(feed: Feed, path: str) -> None:
    reply = await feed.get(path)

    assert reply.status == 200
    assert ET.fromstring(reply.body).tag.endswith("service")


async def test_the_metadata_names_what_clients_look_for(feed: Feed) -> None:
    reply = await feed.get("v2/$metadata")

    text = reply.body.decode()
    assert ET.fromstring(reply.body).tag.endswith("Edmx")
    assert '<FunctionImport Name="Search"' in text
    assert '<Property Name="IsAbsoluteLatestVersion"' in text


async def test_all_versions_of_one_package(feed: Feed, token: str) -> None:
    recipe = package(
        metadata={"tags": "one two", "title": "A & B <c>"},
        groups={"net45": {"Left": "[1.0, 2.0)", "Right": "3"}, "netx": {}},
    )
    for version in ("1.0.0", "2.0.0-beta", "1.5.0"):
        _, built = await feed.publish("Demo.Core", version, token, recipe)
    await feed.send("DELETE", "package/Demo.Core/1.5.0", token)

    found = await entries(feed, "v2/FindPackagesById()?id='demo.core'")

    assert labels(found) == [("Demo.Core", "1.0.0"), ("Demo.Core", "1.5.0"), ("Demo.Core", "2.0.0-beta")]
    assert [value(one, "IsLatestVersion") for one in found] == ["true", "false", "false"]
    assert [value(one, "IsAbsoluteLatestVersion") for one in found] == ["false", "false", "true"]
    assert (value(found[1], "Published") or "").startswith("1900")
    assert value(found[0], "Dependencies") == "Left:[1.0.0,2.0.0):net45|Right:3.0.0:net45|::netx"
    assert value(found[0], "Title") == "A & B <c>"
    assert value(found[0], "PackageHashAlgorithm") == "SHA512"
    content = found[1].find(f"{ATOM}content")
    assert content is not None
    got = await feed.get(content.attrib["src"].removeprefix(feed.base))
    assert got.body == built.body


@pytest.mark.parametrize(
    "path",
    [
        "v2/Packages(Id='Demo.Core',Version='1.0')",
        "v2/Packages(Id=%27demo.core%27,Version=%271.0.0.0%27)",
    ],
)
async def test_one_version_in_any_spelling(feed: Feed, token: str, path: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    reply = await feed.get(path)

    assert value(ET.fromstring(reply.body), "Version") == "1.0.0"
    assert (await feed.get(path.replace("1.0", "7.0"))).status == 404


async def test_semver2_packages_are_for_those_who_ask(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("Demo.Core", "2.0.0-rc.1", token)

    assert len(await entries(feed, "v2/FindPackagesById()?id='Demo.Core'")) == 1
    assert len(await entries(feed, "v2/FindPackagesById()?id='Demo.Core'&semVerLevel=2.0.0")) == 2


SEARCH = "v2/Search()?$filter=IsLatestVersion&$orderby=Id&searchTerm='{}'&targetFramework=''&includePrerelease=false"


async def test_a_search_shows_the_latest_listed_version(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("Demo.Core", "2.0.0", token)
    await feed.publish("Demo.Core", "3.0.0-beta", token)
    await feed.publish("Other", "1.0.0", token)

    assert labels(await entries(feed, SEARCH.format("demo"))) == [("Demo.Core", "2.0.0")]
    assert labels(await entries(feed, SEARCH.format(""))) == [("Demo.Core", "2.0.0"), ("Other", "1.0.0")]
    count = await feed.get(SEARCH.format("demo").replace("Search()", "Search()/$count"))
    assert count.body == b"1"
    newest = "v2/Search()?$filter=IsAbsoluteLatestVersion&searchTerm='demo'&includePrerelease=true"
    assert labels(await entries(feed, newest)) == [("Demo.Core", "3.0.0-beta")]


@pytest.mark.parametrize(
    "filter_",
    [
        "(tolower(Id) eq 'left.pad') and IsLatestVersion",
        "Id eq 'Left.Pad'",
        "tolower(Id) eq 'left.pad' and NormalizedVersion eq '1.0.0'",
    ],
)
async def test_a_filter_that_names_a_package_reaches_the_upstream(feed: Feed, filter_: str) -> None:
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})

    found = await entries(feed, f"v2/Packages()?$filter={quote(filter_)}")

    assert labels(found) == [("Left.Pad", "1.0.0")]
    assert feed.fake.authority not in ET.tostring(found[0]).decode()


async def test_a_filter_that_is_not_understood_is_refused(feed: Feed) -> None:
    for filter_ in ("Price gt 3", "Id eq", "(Id eq 'x'", "Id eq 'x' or", "substringof('x')", "1 eq 1", "')"):
        reply = await feed.get(f"v2/Packages()?$filter={quote(filter_)}")

        assert reply.status == 400, filter_
        assert "X-NuGet-Warning" in reply.headers


@pytest.mark.parametrize(("more", "sizes"), [("", [100, 100, 30]), ("&$top=120", [100, 20]), ("&$skip=180", [50])])
async def test_links_to_the_next_page_lead_to_the_end(feed: Feed, more: str, sizes: list[int]) -> None:
    feed.fake.nuget("Many", {f"1.0.{number}": package() for number in range(230)})

    pages, address = [], f"v2/FindPackagesById()?id='Many'{more}"
    while address and len(pages) < 5:
        document = ET.fromstring((await feed.get(address)).body)
        pages.append(labels(document.findall(f"{ATOM}entry")))
        following = [link.attrib["href"] for link in document.findall(f"{ATOM}link") if link.attrib["rel"] == "next"]
        parts = urlsplit(following[0]) if following else None
        address = f"{parts.path}?{parts.query}".removeprefix("/nuget/acme/tools/") if parts else ""

    start = 180 if "skip" in more else 0
    assert [len(page) for page in pages] == sizes
    found = [label for page in pages for label in page]
    assert found == [("Many", f"1.0.{number}") for number in range(start, start + sum(sizes))]
    assert len(await entries(feed, "v2/FindPackagesById()?id='Many'&$skip=120&$top=3")) == 3


async def test_what_nobody_knows_is_an_empty_feed(feed: Feed) -> None:
    assert await entries(feed, "v2/FindPackagesById()?id='Nobody.Knows'") == []
    assert await entries(feed, "v2/FindPackagesById()?id='../x'") == []


@pytest.mark.parametrize("path", ["v2", "v2/", "v2/package", "v2/package/"])
async def test_a_push_to_the_v2_address_is_one_to_the_feed(feed: Feed, token: str, path: str) -> None:
    body = package().build("Demo.Core", "1.0.0").body

    assert (await feed.push(body, token, path)).status == 201
    assert await feed.versions("demo.core") == ["1.0.0"]


@pytest.mark.parametrize("path", ["v2/package/Demo.Core/1.0.0", "v2/Demo.Core/1.0.0"])
async def test_a_delete_at_the_v2_address_unlists(feed: Feed, token: str, path: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    assert (await feed.send("DELETE", path, token)).status == 204
    assert await feed.found("q=demo") == []


async def test_a_package_cannot_break_out_of_the_feed(feed: Feed, token: str) -> None:
    evil = "</d:Title><entry>\ufffe]]>&amp;"
    recipe = package(metadata={"title": evil.replace("\ufffe", ""), "description": "a 'quoted' \"text\""})
    await feed.publish("Demo.Core", "1.0.0", token, recipe)

    (entry,) = await entries(feed, "v2/FindPackagesById()?id='Demo.Core'")

    assert value(entry, "Title") == "</d:Title><entry>]]>&amp;"


ITEM = {
    "Id": "Demo.Core",
    "Tags": "PSModule x",
    "NormalizedVersion": "1.10.0",
    "IsLatestVersion": True,
    "Description": "Big",
}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("", True),
        ("IsLatestVersion", True),
        ("not IsLatestVersion", False),
        ("IsLatestVersion eq true", True),
        ("IsLatestVersion eq false", False),
        ("Id eq 'demo.core'", True),
        ("NormalizedVersion gt '1.9'", True),
        ("NormalizedVersion eq '1.10.0.0'", True),
        ("NormalizedVersion lt '1.10.0'", False),
        ("substringof('psmodule',Tags) eq true", True),
        ("substringof('nothing',tolower(Description)) or startswith(Id,'Demo')", True),
        ("endswith(Id, 'x') and IsLatestVersion", False),
        ("((Id eq 'a') or (Id eq 'Demo.Core')) and IsLatestVersion", True),
        ("Id eq 'it''s'", False),
        ("Id ne 'x'", True),
        ("Id eq true", False),
    ],
)
def test_what_filters_mean(text: str, accepted: bool) -> None:
    assert odata_filter.parse(text).accepts(ITEM) is accepted


@pytest.mark.parametrize("text", ["(" * 500, "not " * 400 + "IsLatestVersion", "x" * 3000, "Id eq 'a' " * 100])
def test_a_filter_that_is_too_much_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        odata_filter.parse(text)


def test_only_a_filter_that_must_match_one_id_names_it() -> None:
    assert odata_filter.parse("tolower(Id) eq 'a' and IsLatestVersion").id == "a"
    assert odata_filter.parse("Id eq 'a' or Id eq 'b'").id == ""
    assert odata_filter.parse("Id eq 'a' or Id eq 'A'").id == "a"
    assert odata_filter.parse("not Id eq 'a'").id == ""


def test_a_range_that_accepts_anything_is_empty() -> None:
    assert odata.dependencies([{"dependencies": [{"id": "A", "range": "(, )"}]}]) == "A::"
