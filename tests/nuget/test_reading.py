"""Reading what was published here: service index, flat container, registrations (checklist 1, 2, 19, 20, 33, 35, 40)."""

import base64
import gzip
import json

import pytest
from structlog.testing import capture_logs

from adapters.nuget.registration import Hive, index, page
from gateway.config import ServerConfig
from gateway.model import File, Listing
from tests.conftest import Reply, StartGateway, private, public
from tests.fakes.nuget import package
from tests.nuget.conftest import Feed

HIVES = ("registration", "registration-gz", "registration-semver2")


def resources(index: dict[str, object]) -> dict[str, str]:
    listed = index["resources"]
    assert isinstance(listed, list)
    return {one["@type"]: one["@id"] for one in listed}


async def test_the_service_index_names_what_every_generation_of_clients_looks_for(feed: Feed) -> None:
    document = await feed.json("index.json")

    found = resources(document)
    assert document["version"] == "3.0.0"
    assert {
        "PackageBaseAddress/3.0.0",
        "RegistrationsBaseUrl",
        "RegistrationsBaseUrl/3.4.0",
        "RegistrationsBaseUrl/3.6.0",
        "RegistrationsBaseUrl/Versioned",
        "SearchQueryService/3.0.0-beta",
        "SearchAutocompleteService/3.0.0-beta",
        "PackagePublish/2.0.0",
        "SymbolPackagePublish/4.9.0",
        "LegacyGallery/2.0.0",
    } <= found.keys()
    versioned = next(one for one in document["resources"] if one["@type"] == "RegistrationsBaseUrl/Versioned")
    assert versioned["clientVersion"] == "4.3.0-alpha"
    assert versioned["@id"] == found["RegistrationsBaseUrl/3.6.0"]


@pytest.mark.parametrize("alias", ["", "v3/"])
async def test_every_resource_lies_below_the_address_that_was_asked_for(feed: Feed, token: str, alias: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    index = await feed.json(f"{alias}index.json")

    assert {address.startswith(feed.base + alias) for address in resources(index).values()} == {True}
    registration = await feed.json(f"{alias}registration-semver2/demo.core/index.json")
    assert registration["@id"].startswith(f"{feed.base}{alias}")
    content = registration["items"][0]["items"][0]["packageContent"].removeprefix(feed.base)
    assert content.startswith(f"{alias}flat/")
    assert (await feed.get(content)).status == 200


async def test_a_prefix_of_the_public_address_is_in_every_address(start_gateway: StartGateway) -> None:
    server = ServerConfig(public_url="https://pkgs.example.com/artifacts")
    gateway = await start_gateway({"nuget": {"acme/tools": public()}}, server=server)

    found = resources(json.loads((await gateway.get("nuget/acme/tools/index.json")).body))

    root = "https://pkgs.example.com/artifacts/"
    page = f"{root}-/ui/repositories/nuget/acme/tools/packages/{{id}}"
    assert found.pop("PackageDetailsUriTemplate/5.1.0") == page
    assert all(address.startswith(f"{root}nuget/acme/tools/") for address in found.values())
    assert "ReadmeUriTemplate/6.13.0" in found


async def test_the_page_of_a_package_is_one_of_the_dashboard(start_gateway: StartGateway) -> None:
    server = ServerConfig(public_url="https://pkgs.example.com")
    gateway = await start_gateway({"nuget": {"acme/tools": public("hosted")}}, server=server)
    body = package().build("Demo.Core", "1.0.0").body
    await gateway.request("PUT", "nuget/acme/tools/package", await gateway.token(), data=body)
    found = resources(json.loads((await gateway.get("nuget/acme/tools/index.json")).body))

    page = found["PackageDetailsUriTemplate/5.1.0"].removeprefix("https://pkgs.example.com/")
    shown = await gateway.get(page.format(id="Demo.Core"))

    assert (shown.status, b"1.0.0" in shown.body) == (200, True)


async def test_an_id_is_found_in_any_casing(feed: Feed, token: str) -> None:
    _, built = await feed.publish("Demo.Core", "1.0.0", token)

    assert await feed.versions("DEMO.core") == ["1.0.0"]
    for path in ("flat/demo.core/1.0.0/demo.core.1.0.0.nupkg", "flat/Demo.Core/1.0/Demo.Core.1.0.nupkg"):
        assert (await feed.get(path)).body == built.body


async def test_versions_are_listed_lower_case_and_ascending(feed: Feed, token: str) -> None:
    for version in ("2.0.0", "1.0.0-RC.2", "1.0.0-RC.10", "1.0.0.1", "1.0", "10.0.0-Beta+build"):
        assert (await feed.publish("Demo.Core", version, token))[0].status == 201

    assert await feed.versions("demo.core") == [
        "1.0.0-rc.2",
        "1.0.0-rc.10",
        "1.0.0",
        "1.0.0.1",
        "2.0.0",
        "10.0.0-beta",
    ]


NOWHERE = [
    "flat/nothing/index.json",
    "flat/demo.core/9.9.9/demo.core.9.9.9.nupkg",
    "flat/demo.core/1.0.0/demo.core.1.0.1.nupkg",
    "flat/demo.core/1.0.0/other.1.0.0.nupkg",
    "flat/demo.core/x/demo.core.x.nupkg",
    "flat/demo.core/1.0.0/icon",
    "flat/..x/index.json",
    "registration/nothing/index.json",
    "registration/demo.core/9.9.9.json",
    "registration/demo.core/0.9.0.json",
    "catalog/demo.core/0.9.0.json",
    "registration/demo.core/nonsense.json",
    "registration/demo.core/page/5.0.0/6.0.0.json",
    "registration/demo.core/page/a/b.json",
    "catalog/demo.core/3.0.0.json",
    "nowhere",
]


async def test_what_is_not_there_is_404_without_a_warning(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    with capture_logs() as logged:
        for path in NOWHERE:
            reply = await feed.get(path)

            assert reply.status == 404, path
            assert json.loads(reply.body)
            assert "X-NuGet-Warning" not in reply.headers

    assert logged == []


async def test_a_registration_says_what_the_nuspec_says(feed: Feed, token: str) -> None:
    recipe = package(
        groups={".NETStandard2.0": {"Left.Pad": "1.0"}, "net45": {}},
        metadata={
            "title": "The Core",
            "tags": "one two",
            "projectUrl": "https://acme.example/core",
            "releaseNotes": "new",
            "requireLicenseAcceptance": "true",
        },
        extra='<license type="expression">MIT</license>',
    )
    _, built = await feed.publish("Demo.Core", "1.0.0+b7", token, recipe)

    index = await feed.json("registration-semver2/demo.core/index.json")

    (page,) = index["items"]
    (leaf,) = page["items"]
    entry = leaf["catalogEntry"]
    assert (index["count"], page["count"], page["lower"], page["upper"]) == (1, 1, "1.0.0", "1.0.0")
    assert (entry["id"], entry["version"], entry["listed"]) == ("Demo.Core", "1.0.0+b7", True)
    assert (entry["title"], entry["tags"], entry["licenseExpression"]) == ("The Core", ["one", "two"], "MIT")
    assert (entry["projectUrl"], entry["requireLicenseAcceptance"]) == ("https://acme.example/core", True)
    (first, second) = entry["dependencyGroups"]
    assert first["targetFramework"] == ".NETStandard2.0"
    assert first["dependencies"] == [
        {
            "id": "Left.Pad",
            "range": "[1.0.0, )",
            "registration": f"{feed.base}registration-semver2/left.pad/index.json",
        }
    ]
    assert second == {"targetFramework": "net45", "dependencies": []}
    assert entry["published"].endswith("Z")
    assert entry["packageSize"] == len(built.body)


async def test_every_address_of_a_registration_answers(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    index = await feed.json("registration-semver2/demo.core/index.json")
    (leaf,) = index["items"][0]["items"]

    addresses = [index["@id"], index["items"][0]["@id"], index["items"][0]["parent"], leaf["@id"], leaf["registration"]]
    addresses += [leaf["packageContent"], leaf["catalogEntry"]["@id"], leaf["catalogEntry"]["packageContent"]]

    for address in addresses:
        assert (await feed.get(address.removeprefix(feed.base))).status == 200, address
    found = await feed.json(leaf["@id"].removeprefix(feed.base))
    assert found["catalogEntry"] == leaf["catalogEntry"]["@id"]
    assert found["listed"] is True
    details = await feed.json(found["catalogEntry"].removeprefix(feed.base))
    assert details["packageHash"] == leaf["catalogEntry"]["packageHash"]
    assert details["packageTypes"] == [{"name": "Dependency"}]


async def test_many_versions_are_spread_over_pages(feed: Feed) -> None:
    feed.fake.nuget("Many", {f"1.0.{number}": package() for number in range(130)})

    index = await feed.json("registration-semver2/many/index.json")

    assert index["count"] == 3
    assert all("items" not in page for page in index["items"])
    found = []
    for shown in index["items"]:
        whole = await feed.json(shown["@id"].removeprefix(feed.base))
        assert (whole["count"], whole["lower"], whole["upper"]) == (shown["count"], shown["lower"], shown["upper"])
        found += [leaf["catalogEntry"]["version"] for leaf in whole["items"]]
    assert found == [f"1.0.{number}" for number in range(130)]
    assert await feed.versions("many") == found


def test_the_address_of_a_page_stays_good_when_more_is_published() -> None:
    hive = Hive("https://a.test/", "registration/", is_semver2=True)

    def listing(count: int) -> Listing:
        files = [
            File(f"{n}", f"1.0.{n}", {}, facts={"entry": {"id": "Many", "version": f"1.0.{n}"}}) for n in range(count)
        ]
        return Listing("many", tuple(files))

    before, after = (json.loads(index(listing(count), hive))["items"] for count in (127, 129))

    assert [len(page["items"]) for page in before] == [64, 63]
    assert [page["count"] for page in after] == [64, 64, 1]
    low, high = before[1]["lower"], before[1]["upper"]
    assert json.loads(page(listing(129), hive, low, high))["count"] == 63


async def test_old_hives_hide_what_old_clients_cannot_read(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("Demo.Core", "1.1.0-rc.1", token)
    await feed.publish("Demo.Core", "1.2.0+meta", token)
    await feed.publish("Demo.Core", "1.3.0", token, package(dependencies={"Left": "[1.0.0-a.b, )"}))
    await feed.publish("New.Only", "1.0.0-rc.1", token)

    seen = {}
    for hive in HIVES:
        index = await feed.json(f"{hive}/demo.core/index.json")
        seen[hive] = [leaf["catalogEntry"]["version"] for leaf in index["items"][0]["items"]]

    assert seen["registration"] == seen["registration-gz"] == ["1.0.0"]
    assert seen["registration-semver2"] == ["1.0.0", "1.1.0-rc.1", "1.2.0+meta", "1.3.0"]
    assert (await feed.get("registration/new.only/index.json")).status == 404
    assert await feed.versions("demo.core") == ["1.0.0", "1.1.0-rc.1", "1.2.0", "1.3.0"]


async def test_the_plain_hive_is_never_compressed_and_the_others_where_it_is_wanted(feed: Feed, token: str) -> None:
    recipe = package(metadata={"releaseNotes": "long " * 500})
    await feed.publish("Demo.Core", "1.0.0", token, recipe)

    async def encoding(hive: str, accepted: str) -> str | None:
        reply = await feed.get(f"{hive}/demo.core/index.json", Accept_Encoding=accepted)
        body = gzip.decompress(reply.body) if "Content-Encoding" in reply.headers else reply.body
        assert json.loads(body)["count"] == 1
        return reply.headers.get("Content-Encoding")

    assert await encoding("registration", "gzip, deflate") is None
    for hive in HIVES[1:]:
        assert await encoding(hive, "gzip, deflate") == "gzip"
        assert await encoding(hive, "identity") is None


@pytest.mark.parametrize("accepted", ["identity", "gzip, deflate"])
async def test_head_has_the_headers_of_get_and_no_body(feed: Feed, token: str, accepted: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token, package(metadata={"releaseNotes": "long " * 500}))
    feed.fake.nuget("Left.Pad", {"1.0.0": package()})

    for path, status in (
        ("index.json", 200),
        ("flat/demo.core/index.json", 200),
        ("flat/demo.core/1.0.0/demo.core.1.0.0.nupkg", 200),
        ("flat/demo.core/1.0.0/demo.core.nuspec", 200),
        ("registration/demo.core/index.json", 200),
        ("registration-gz/demo.core/index.json", 200),
        ("registration-semver2/left.pad/index.json", 200),
        ("search?q=demo", 200),
        ("v2/FindPackagesById()?id='Demo.Core'", 200),
        ("flat/nothing/index.json", 404),
    ):
        got = await feed.get(path, Accept_Encoding=accepted)
        head = await feed.send("HEAD", path, None, Accept_Encoding=accepted)
        assert (got.status, head.status, head.body) == (status, status, b"")
        assert int(head.headers["Content-Length"]) == len(got.body) > 0
        assert described(head) == described(got), path


async def test_head_of_a_package_that_is_not_here_yet_says_how_long_it_is(feed: Feed) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package(size=300_000)})
    path = "flat/left.pad/1.0.0/left.pad.1.0.0.nupkg"

    head, got = await feed.send("HEAD", path, None), await feed.get(path)

    assert (head.status, head.body, got.body) == (200, b"", theirs.body)
    assert head.headers["Content-Length"] == str(len(theirs.body))
    assert head.headers["ETag"] == got.headers["ETag"]


def described(reply: Reply) -> dict[str, str]:
    """What the headers say of the content."""
    return {name: text for name, text in reply.headers.items() if name not in {"Date", "X-Request-ID"}}


async def test_a_package_is_served_in_ranges_and_for_good(feed: Feed, token: str) -> None:
    _, built = await feed.publish("Demo.Core", "1.0.0", token)
    path = "flat/demo.core/1.0.0/demo.core.1.0.0.nupkg"

    part = await feed.get(path, Range="bytes=2-5")
    whole = await feed.get(path)
    same = await feed.get(path, If_None_Match=whole.headers["ETag"])

    assert (part.status, part.body) == (206, built.body[2:6])
    assert "immutable" in whole.headers["Cache-Control"]
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert same.status == 304


async def test_what_is_embedded_is_served_as_what_it_is_and_never_run(feed: Feed, token: str) -> None:
    png = b"\x89PNG\r\n\x1a\n" + b"x" * 20
    recipe = package(
        files={"images/icon.png": png, "docs/README.md": b"# hi", "LICENSE.txt": b"do"},
        metadata={"icon": "images\\icon.png", "readme": "docs/README.md"},
        extra='<license type="file">LICENSE.txt</license>',
    )
    reply, built = await feed.publish("Demo.Core", "1.0.0", token, recipe)
    assert reply.status == 201, reply.reason

    (leaf,) = (await feed.json("registration-semver2/demo.core/index.json"))["items"][0]["items"]

    for kind, content_type, body in (
        ("icon", "image/png", png),
        ("readme", "text/plain; charset=utf-8", b"# hi"),
        ("license", "text/plain; charset=utf-8", b"do"),
    ):
        address = leaf["catalogEntry"][f"{kind}Url"]
        got = await feed.get(address.removeprefix(feed.base))
        assert (got.status, got.headers["Content-Type"], got.body) == (200, content_type, body)
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in got.headers["Content-Security-Policy"]
    assert (await feed.get("flat/demo.core/1.0.0/demo.core.nuspec")).body == built.metadata


async def test_a_private_feed_asks_for_basic_credentials(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"nuget": {"acme/tools": private()}})
    token = await gateway.token()
    basic = basic_of(token)

    anonymous = await gateway.get("nuget/acme/tools/index.json")
    known = await gateway.get("nuget/acme/tools/index.json", Authorization=basic)

    assert anonymous.status == 401
    assert anonymous.headers["WWW-Authenticate"].startswith('Basic realm="')
    assert "X-NuGet-Warning" not in anonymous.headers
    assert known.status == 200


async def test_an_id_that_is_not_for_this_actor_is_unknown(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("Secret", "1.0.0", token)
    (repository,) = [r for k, r in feed.gateway.services.known().items() if k.name == "tools"]
    await feed.gateway.services.packages.set_restricted(repository.id, "secret", True)
    other = await feed.gateway.token("bob", is_admin=False)

    assert (await feed.get("flat/demo.core/index.json", other)).status == 200
    for path in ("flat/secret/index.json", "registration/secret/index.json", "flat/secret/1.0.0/secret.1.0.0.nupkg"):
        assert (await feed.get(path, other)).status == 404
        assert (await feed.get(path)).status == 401  # clients begin without credentials
    assert await feed.found("q=", other) == ["Demo.Core"]


def basic_of(token: str) -> str:
    return "Basic " + base64.b64encode(f"anything:{token}".encode()).decode()
