"""dotnet and nuget.exe publish to a private repository and use what is there."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import ZipFile

import pytest

from tests.clients.asked import Asked
from tests.clients.dotnets import (
    configure,
    content_hashes,
    dotnet,
    locked,
    nuget,
    pack,
    pack_library,
    project,
    push,
    restore,
)
from tests.clients.gateway import DELETE, Gateway
from tests.clients.tools import World

pytestmark = pytest.mark.client

REPOSITORY = "nuget/acme/net"
MIB = 1 << 20


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(tmp_path_factory.mktemp("log") / "access.log", REPOSITORY)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Iterator[Gateway]:
    repositories = {"nuget": {"acme/net": {"layers": ["hosted"]}}}
    settings = {**asked.settings, "server": {"max_upload_size": 61 * MIB}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, settings=settings) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("acme", DELETE)


@pytest.fixture(scope="module")
def reader(gateway: Gateway) -> str:
    return gateway.token("acme")


@pytest.fixture(scope="module")
def index(gateway: Gateway) -> str:
    return gateway.base(REPOSITORY) + "index.json"


@pytest.fixture
def publisher(new_world: Callable[[], World], index: str, token: str) -> World:
    """A world that is configured with the repository and a token that may write."""
    world = new_world()
    configure(world, (index, token))
    return world


@pytest.fixture
def user(new_world: Callable[[], World], index: str, reader: str) -> World:
    """A world that is configured with the repository and a token that may only read."""
    world = new_world()
    configure(world, (index, reader))
    return world


def test_what_dotnet_packed_and_pushed_is_restored_at_once_and_its_lock_elsewhere(
    publisher: World, user: World, index: str, token: str, reader: str, new_world: Callable[[], World]
) -> None:
    library = pack_library(publisher, "Acme.Library")
    symbols = push(publisher, library, index, token).succeeded()
    push(publisher, pack(publisher, "Acme.App", dependencies={"Acme.Library": "[1.0,2.0)"}), index, token).succeeded()
    machine = new_world()
    configure(machine, (index, reader))

    project(user, {"acme.APP": "1.0.0"})
    restore(user).succeeded()
    project(machine, {"acme.APP": "1.0.0"})
    (machine.work / "packages.lock.json").write_bytes((user.work / "packages.lock.json").read_bytes())
    restore(machine, "--locked-mode").succeeded()

    assert {name.lower(): version for name, version in locked(user).items()} == {
        "acme.app": "1.0.0",
        "acme.library": "1.0.0",
    }
    assert all(content_hashes(user).values())
    assert symbols.text.count("Your package was pushed") == 2, "the symbols were not pushed beside the package"


def test_a_debugger_finds_the_symbols_by_what_stands_in_the_library(
    publisher: World, gateway: Gateway, index: str, token: str, reader: str
) -> None:
    package = pack_library(publisher, "Acme.Debugged")
    push(publisher, package, index, token).succeeded()
    with ZipFile(package.with_suffix(".snupkg")) as symbols:
        pdb = next(symbols.read(name) for name in symbols.namelist() if name.endswith(".pdb"))
    with ZipFile(package) as archive:
        library = next(archive.read(name) for name in archive.namelist() if name.endswith(".dll"))
    start = library.index(b"RSDS") + 4  # PE/COFF, "Debug Directory", CodeView: the id of the PDB, its age, its path
    id_ = uuid.UUID(bytes_le=library[start : start + 16]).hex

    for name, key in (("Acme.Debugged.pdb", f"{id_}FFFFFFFF"), ("acme.debugged.pdb", f"{id_.upper()}1")):
        assert gateway.get(f"/{REPOSITORY}/symbols/{name}/{key}/{name}", token=reader) == (200, pdb)


def test_a_version_is_published_once(publisher: World, index: str, token: str) -> None:
    push(publisher, pack(publisher, "Acme.Once"), index, token).succeeded()
    again = pack(publisher, "Acme.Once", content="something else")

    refused = push(publisher, again, index, token).failed()
    spelt = push(publisher, pack(publisher, "acme.once", "1.0.0.0"), index, token).failed()
    skipped = push(publisher, again, index, token, "--skip-duplicate")

    assert "409" in refused.text
    assert "409" in spelt.text
    assert "--skip-duplicate" in refused.text
    skipped.succeeded()


def test_a_source_with_credentials_needs_no_key_even_for_a_large_package(
    publisher: World, gateway: Gateway, index: str, asked: Asked
) -> None:
    file = pack(publisher, "Acme.Large", size=60 * MIB)
    asked.entries(gateway)

    said = push(publisher, file, index, "").succeeded()

    puts = [(path, status) for method, path, status in asked.requests(gateway) if method == "PUT"]
    assert puts == [("package/", 401), ("package/", 201)]
    assert "Your package was pushed" in said.text
    assert "reset" not in said.text


def test_a_package_that_is_too_large_is_told_so(publisher: World, index: str, token: str) -> None:
    refused = push(publisher, pack(publisher, "Acme.Huge", size=62 * MIB), index, token).failed()

    assert "413" in refused.text
    assert "reset" not in refused.text


def test_a_restore_asks_for_the_versions_and_the_package_alone(
    publisher: World, user: World, gateway: Gateway, index: str, token: str, asked: Asked
) -> None:
    push(publisher, pack(publisher, "Acme.Asked"), index, token).succeeded()
    project(user, {"Acme.Asked": "1.0.0"})
    asked.entries(gateway)

    restore(user).succeeded()

    assert [one for one in asked.requests(gateway) if one[2] != 401] == [
        ("GET", "index.json", 200),
        ("GET", "flat/acme.asked/index.json", 200),
        ("GET", "flat/acme.asked/1.0.0/acme.asked.1.0.0.nupkg", 200),
    ]


def test_nuget_exe_speaks_the_old_protocol_too(
    gateway: Gateway, token: str, asked: Asked, new_world: Callable[[], World]
) -> None:
    world, source = new_world(), gateway.base(REPOSITORY) + "v2/"
    configure(world, (source, token))
    asked.entries(gateway)

    nuget(world, "push", pack(world, "Acme.Former", "1.2.0"), "-Source", source, "-ApiKey", token).succeeded()
    listed = nuget(world, "list", "acme.former", "-Source", source).succeeded().stdout
    nuget(world, "install", "Acme.Former", "-Source", source, "-OutputDirectory", "installed").succeeded()

    assert "Acme.Former 1.2.0" in listed
    assert [folder.name for folder in (world.work / "installed").iterdir()] == ["Acme.Former.1.2.0"]
    assert all(path.startswith("v2") for _, path, _ in asked.requests(gateway))


def test_a_token_that_may_only_read_is_told_so(publisher: World, user: World, index: str, reader: str) -> None:
    refused = push(user, pack(publisher, "Acme.Forbidden"), index, reader).failed()

    assert "403" in refused.text
    assert "write" in refused.text


def test_a_key_that_nobody_made_is_refused(new_world: Callable[[], World], index: str) -> None:
    world = new_world()
    configure(world, (index, ""))

    refused = push(world, pack(world, "Acme.Stranger"), index, "ent_nobodyhasthiskey").failed()

    assert "401" in refused.text


def test_without_credentials_a_restore_says_401(new_world: Callable[[], World], index: str) -> None:
    world = new_world()
    configure(world, (index, ""))
    project(world, {"Acme.Library": "1.0.0"})

    assert "401" in restore(world).failed().text


def test_a_deleted_version_is_not_found_any_more_and_still_restored(
    publisher: World, user: World, gateway: Gateway, index: str, token: str
) -> None:
    push(publisher, pack(publisher, "Acme.Unlisted", "1.0.0"), index, token).succeeded()
    push(publisher, pack(publisher, "Acme.Unlisted", "2.0.0"), index, token).succeeded()

    options = ["--source", index, "--api-key", token, "--non-interactive"]
    dotnet(publisher, "nuget", "delete", "Acme.Unlisted", "2.0.0", *options).succeeded()

    found = nuget(user, "search", "Acme.Unlisted", "-Source", index).succeeded().stdout
    assert "1.0.0" in found
    assert "2.0.0" not in found
    project(user, {"Acme.Unlisted": "[2.0.0]"})
    restore(user).succeeded()
    assert locked(user) == {"Acme.Unlisted": "2.0.0"}
    assert _listed(gateway, token) == {"1.0.0": True, "2.0.0": False}


def test_nuget_exe_pushes_searches_lists_installs_and_deletes(
    publisher: World, user: World, index: str, token: str
) -> None:
    for version in ("1.0.0", "1.1.0", "2.0.0-beta.1"):
        nuget(publisher, "push", pack(publisher, "Acme.Exe", version), "-Source", index, "-ApiKey", token).succeeded()

    searched = nuget(user, "search", "acme.exe", "-Source", index).succeeded().stdout
    listed = nuget(user, "list", "acme.exe", "-Source", index).succeeded().stdout
    all_listed = nuget(user, "list", "acme.exe", "-AllVersions", "-Prerelease", "-Source", index).succeeded().stdout
    nuget(user, "install", "Acme.Exe", "-Source", index, "-OutputDirectory", "stable").succeeded()
    nuget(user, "install", "Acme.Exe", "-Prerelease", "-Source", index, "-OutputDirectory", "early").succeeded()

    assert "Acme.Exe" in searched
    assert "Acme.Exe 1.1.0" in listed
    assert {line for line in all_listed.splitlines() if line.startswith("Acme.Exe")} == {
        "Acme.Exe 1.0.0",
        "Acme.Exe 1.1.0",
        "Acme.Exe 2.0.0-beta.1",
    }
    assert [folder.name for folder in (user.work / "stable").iterdir()] == ["Acme.Exe.1.1.0"]
    assert [folder.name for folder in (user.work / "early").iterdir()] == ["Acme.Exe.2.0.0-beta.1"]
    nuget(publisher, "delete", "Acme.Exe", "1.1.0", "-Source", index, "-ApiKey", token).succeeded()
    assert "Acme.Exe 1.1.0" not in nuget(user, "list", "acme.exe", "-Source", index).succeeded().stdout


def test_nuget_exe_restores_a_list_of_packages(publisher: World, user: World, index: str, token: str) -> None:
    push(publisher, pack(publisher, "Acme.Listed"), index, token).succeeded()
    wanted = '<package id="Acme.Listed" version="1.0.0" targetFramework="netstandard2.0" />'
    (user.work / "packages.config").write_text(f"<packages>{wanted}</packages>")

    nuget(user, "restore", "packages.config", "-PackagesDirectory", "packages").succeeded()

    assert (user.work / "packages" / "Acme.Listed.1.0.0" / "readme.txt").is_file()


def test_dotnet_says_which_packages_are_outdated(publisher: World, user: World, index: str, token: str) -> None:
    push(publisher, pack(publisher, "Acme.Aged", "1.0.0"), index, token).succeeded()
    project(user, {"Acme.Aged": "1.0.0"})
    restore(user).succeeded()

    push(publisher, pack(publisher, "Acme.Aged", "1.4.0"), index, token).succeeded()
    said = dotnet(user, "list", "App.csproj", "package", "--outdated").succeeded().stdout

    assert [word for word in said.split() if word[0].isdigit()][-3:] == ["1.0.0", "1.0.0", "1.4.0"]


def test_the_pasted_configuration_works(
    publisher: World, gateway: Gateway, index: str, token: str, reader: str, new_world: Callable[[], World]
) -> None:
    push(publisher, pack(publisher, "Acme.Pasted"), index, token).succeeded()
    pasted = gateway.cli("snippet", "nuget", "acme/net", "--config", str(gateway.config)).succeeded().stdout
    world = new_world()
    (world.work / "nuget.config").write_text(pasted)
    project(world, {"Acme.Pasted": "1.0.0"})

    dotnet(world, "restore", "App.csproj", environment={"ENTREPOT_TOKEN": reader}).succeeded()

    assert (world.home / "packages" / "acme.pasted" / "1.0.0").is_dir()


def test_a_package_that_is_not_here_is_looked_for_in_the_next_source(
    publisher: World, gateway: Gateway, index: str, token: str, reader: str, new_world: Callable[[], World]
) -> None:
    push(publisher, pack(publisher, "Acme.Second"), index, token).succeeded()
    world, elsewhere = new_world(), gateway.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Other.Tool.1.0.0.nupkg").write_bytes(pack(publisher, "Other.Tool").read_bytes())
    configure(world, (index, reader), (str(elsewhere), ""))
    project(world, {"Acme.Second": "1.0.0", "Other.Tool": "1.0.0"})

    restore(world).succeeded()

    assert locked(world) == {"Acme.Second": "1.0.0", "Other.Tool": "1.0.0"}


def _listed(gateway: Gateway, token: str) -> dict[str, Any]:
    """Version → whether its registration says that it is listed."""
    resources = json.loads(gateway.get(f"/{REPOSITORY}/index.json", token=token)[1])["resources"]
    base = next(entry["@id"] for entry in resources if entry["@type"] == "RegistrationsBaseUrl")
    path = base.removeprefix(gateway.url).rstrip("/")
    pages = json.loads(gateway.get(f"{path}/acme.unlisted/index.json", token=token)[1])["items"]
    entries = [leaf["catalogEntry"] for page in pages for leaf in page["items"]]
    return {entry["version"]: entry.get("listed", True) for entry in entries}
