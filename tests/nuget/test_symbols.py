"""Symbol packages and the symbol server (checklist 13, 14)."""

import uuid

import pytest

from adapters.nuget import symbols
from gateway.errors import FileUnknown, Invalid
from gateway.model import Scope
from tests.fakes.artifacts import zip_of
from tests.fakes.nuget import nuspec, package, pdb
from tests.fakes.nuget import symbols as symbol_package
from tests.nuget.conftest import Feed

GUID = uuid.UUID("0123abcd-4567-89ef-0123-456789abcdef")
KEY = f"{GUID.hex}ffffffff"


async def push(feed: Feed, token: str | None, recipe=None, version: str = "1.0.0"):
    built = (recipe or symbol_package({"Demo.Core.pdb": GUID})).build("Demo.Core", version)
    return await feed.push(built.body, token, "symbolpackage/")


async def test_a_pdb_is_found_by_its_key_in_any_casing(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    assert (await push(feed, token)).status == 201

    for file, key in (("Demo.Core.pdb", KEY), ("demo.core.pdb", KEY.upper()), ("DEMO.CORE.PDB", f"{GUID.hex}1")):
        got = await feed.get(f"symbols/{file}/{key}/{file}")
        assert (got.status, got.body) == (200, pdb(GUID))
    assert (await feed.get(f"symbols/other.pdb/{KEY}/other.pdb")).status == 404
    assert (await feed.get(f"symbols/demo.core.pdb/{'0' * 32}ffffffff/demo.core.pdb")).status == 404
    assert (await feed.get(f"symbols/demo.core.pdb/{KEY}/other.pdb")).status == 404


async def test_symbols_are_no_version_of_the_package(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await push(feed, token)

    assert await feed.versions("demo.core") == ["1.0.0"]
    assert (await feed.json("search?q=demo"))["data"][0]["versions"][0]["version"] == "1.0.0"


async def test_a_later_push_replaces_the_symbols(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await push(feed, token)

    again = await push(feed, token)
    other = await push(feed, token, symbol_package({"Demo.Core.pdb": GUID}, salt="new"))

    assert (again.status, other.status) == (201, 201)
    assert (await feed.get(f"symbols/demo.core.pdb/{KEY}/demo.core.pdb")).body == pdb(GUID, "new")


async def test_symbols_of_a_package_that_is_not_there_are_refused(feed: Feed, token: str) -> None:
    for _ in range(2):
        refused = await push(feed, token)
        assert refused.status == 404
        assert refused.reason == "demo.core 1.0.0 is not published here: push the package first"
        assert refused.headers["X-NuGet-Warning"] == refused.reason
        await feed.publish("Demo.Core", "2.0.0", token)


WINDOWS_PDB = zip_of(
    {"a.nuspec": nuspec("Demo.Core", "1.0.0", types=("SymbolsPackage",)), "a.pdb": b"Microsoft C/C++ MSF"}
)
NO_PDB = zip_of({"a.nuspec": nuspec("Demo.Core", "1.0.0", types=("SymbolsPackage",))})
BOMB = zip_of(
    {"a.nuspec": nuspec("Demo.Core", "1.0.0", types=("SymbolsPackage",)), "a.pdb": pdb(GUID) + bytes(20 * 1024**2)}
)


@pytest.mark.parametrize(
    "body",
    [
        symbol_package({"a.pdb": GUID}, more={"lib/a.dll": b"MZ"}).build("Demo.Core", "1.0.0").body,
        package().build("Demo.Core", "1.0.0").body,
        WINDOWS_PDB,
        NO_PDB,
        BOMB,
        b"nonsense",
    ],
    ids=["dll", "package", "windows", "none", "bomb", "no zip"],
)
async def test_what_is_no_symbol_package_is_refused_and_nothing_is_kept(feed: Feed, token: str, body: bytes) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    before = len(list(feed.gateway.services.hosted.walk()))

    reply = await feed.push(body, token, "symbolpackage")

    assert reply.status == 400
    assert len(list(feed.gateway.services.hosted.walk())) == before
    assert list((feed.gateway.services.hosted.root / "uploads").iterdir()) == []


async def test_who_may_not_write_may_push_no_symbols(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    assert (await push(feed, None)).status == 401
    assert (await push(feed, await feed.gateway.token("eve", (Scope.READ,)))).status == 403


async def test_symbols_of_a_restricted_package_are_not_for_others(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await push(feed, token)
    (repository,) = [r for k, r in feed.gateway.services.known().items() if k.name == "tools"]
    await feed.gateway.services.packages.set_restricted(repository.id, "demo.core", True)

    other = await feed.gateway.token("bob", is_admin=False)

    assert (await feed.get(f"symbols/demo.core.pdb/{KEY}/demo.core.pdb", other)).status == 404
    assert (await feed.get(f"symbols/demo.core.pdb/{KEY}/demo.core.pdb", token)).status == 200


async def test_symbols_go_with_a_version_that_is_deleted_for_good(feed: Feed, token: str) -> None:
    feed.path = "nuget/acme/strict/"
    await feed.publish("Demo.Core", "1.0.0", token)
    await push(feed, token)

    gone = await feed.send("DELETE", "package/Demo.Core/1.0.0", token)

    assert gone.status == 204, gone.reason
    assert (await feed.get(f"symbols/demo.core.pdb/{KEY}/demo.core.pdb")).status == 404


@pytest.mark.parametrize("cut", [0, 3, 10, 20, 30, 40, 60])
def test_a_pdb_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Invalid):
        symbols.guid_of(pdb(GUID)[:cut])


@pytest.mark.parametrize("key", ["", "x", GUID.hex, f"{GUID.hex}fffffffff", f"{GUID.hex}xyz", f"../{GUID.hex}"])
def test_what_is_no_key_is_unknown(key: str) -> None:
    with pytest.raises(FileUnknown):
        symbols.asked("a.pdb", key, "a.pdb")
