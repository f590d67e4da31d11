"""A registry of gems from nothing: every step that published conformance tests of gem servers take, and their answers."""

import hashlib
import zlib

import pytest

from adapters.rubygems.marshal_reader import load_spec
from tests.conftest import Gateway, StartGateway, public
from tests.fakes.gems import gem
from tests.rubygems.asking import LISTS, get, info, is_compact, lines, push, push_bytes, specs, yank

PRE = "1.0.0.pre"


@pytest.fixture
async def hosted(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({"rubygems": {"acme/tools": public("hosted", settings={"created_at": False})}})


async def mark(gateway: Gateway, name: str) -> str:
    return hashlib.md5((await get(gateway, f"info/{name}")).body).hexdigest()


async def test_an_empty_registry_has_valid_lists_and_knows_nothing(hosted: Gateway) -> None:
    versions = await get(hosted, "versions")
    names = await get(hosted, "names")

    assert is_compact(versions)
    assert versions.body.startswith(b"created_at: 20")
    assert versions.body.endswith(b"Z\n---\n")
    assert is_compact(names)
    assert names.body == b"---\n\n"
    for which in LISTS:
        assert await specs(hosted, which) == []
    for path in ("info/missing", "gems/missing-1.0.gem", "quick/Marshal.4.8/missing-1.0.gemspec.rz"):
        assert (await get(hosted, path)).status == 404, path


async def test_a_first_push_is_everywhere_at_once(hosted: Gateway) -> None:
    before = (await get(hosted, "versions")).body
    pushed, built = await push(hosted, await hosted.token(), "a", "1.0.0")

    versions = await get(hosted, "versions")
    shown = await get(hosted, "info/a")
    file = await get(hosted, "gems/a-1.0.0.gem")

    assert (pushed.status, pushed.body) == (200, b"Successfully registered gem: a (1.0.0)\n")
    assert shown.body == f"---\n1.0.0 |checksum:{built.sha256}\n".encode()
    assert is_compact(shown)
    assert versions.body == before + f"a 1.0.0 {hashlib.md5(shown.body).hexdigest()}\n".encode()
    assert (await get(hosted, "names")).body == b"---\na\n"
    assert await specs(hosted) == await specs(hosted, "latest_specs") == [("a", "1.0.0", "ruby")]
    assert await specs(hosted, "prerelease_specs") == []
    assert (file.status, file.body, file.headers["Content-Length"]) == (200, built.body, str(len(built.body)))


async def test_the_only_version_yanked_leaves_an_empty_info_and_no_name(hosted: Gateway) -> None:
    token = await hosted.token()
    await push(hosted, token, "a", "1.0.0")
    before = (await get(hosted, "versions")).body
    yanked = await yank(hosted, token, "a", "1.0.0")

    shown = await get(hosted, "info/a")

    assert (yanked.status, yanked.body) == (200, b"Successfully deleted gem: a (1.0.0)\n")
    assert is_compact(shown)
    assert shown.body == b"---\n"
    assert (await get(hosted, "versions")).body == before + b"a -1.0.0 6105347ebb9825ac754615ca55ff3b0c\n"
    assert (await get(hosted, "names")).body == b"---\n\n"
    for which in LISTS:
        assert await specs(hosted, which) == []
    for path in ("gems/a-1.0.0.gem", "quick/Marshal.4.8/a-1.0.0.gemspec.rz"):
        assert (await get(hosted, path)).status == 404
    assert (await push(hosted, token, "a", "1.0.0"))[0].status == 409
    assert (await push(hosted, token, "a", "1.0"))[0].status == 409


async def test_prereleases_dependencies_and_requirements_are_written_as_the_registry_does(hosted: Gateway) -> None:
    recipe = gem(
        dependencies={"b": ">= 1", "a": "< 1.0.0, >= 0.1.0"}, required_ruby=">= 2.0", required_rubygems=">= 2.0"
    )
    _, built = await push(hosted, await hosted.token(), "c", PRE, recipe)

    assert await info(hosted, "c") == [
        f"{PRE} a:< 1.0.0&>= 0.1.0,b:>= 1|checksum:{built.sha256},ruby:>= 2.0,rubygems:>= 2.0"
    ]
    assert await specs(hosted) == []
    assert await specs(hosted, "prerelease_specs") == [("c", PRE, "ruby")]


async def test_platforms_are_versions_of_their_own(hosted: Gateway) -> None:
    token = await hosted.token()
    await get(hosted, "versions")
    marks = []
    for version, platform in (("0.2.0", "ruby"), ("0.2.0", "x86-mingw32"), ("0.2.0", "java"), ("0.3.0", "ruby")):
        assert (await push(hosted, token, "a", version, gem(platform=platform)))[0].status == 200
        marks.append(await mark(hosted, "a"))

    assert await lines(hosted) == [
        f"a 0.2.0 {marks[0]}",
        f"a 0.2.0-x86-mingw32 {marks[1]}",
        f"a 0.2.0-java {marks[2]}",
        f"a 0.3.0 {marks[3]}",
    ]
    assert [line.split()[0] for line in await info(hosted, "a")] == [
        "0.2.0",
        "0.2.0-x86-mingw32",
        "0.2.0-java",
        "0.3.0",
    ]
    assert await specs(hosted, "latest_specs") == [
        ("a", "0.2.0", "java"),
        ("a", "0.2.0", "x86-mingw32"),
        ("a", "0.3.0", "ruby"),
    ]
    assert (await yank(hosted, token, "a", "0.2.0")).status == 200
    assert [line.split()[0] for line in await info(hosted, "a")] == ["0.2.0-x86-mingw32", "0.2.0-java", "0.3.0"]
    assert (await lines(hosted))[-1] == f"a -0.2.0 {await mark(hosted, 'a')}"
    assert (await get(hosted, "gems/a-0.2.0-java.gem")).status == 200
    assert (await get(hosted, "gems/a-0.2.0.gem")).status == 404


async def test_a_list_that_is_made_anew_has_one_line_for_each_gem(hosted: Gateway) -> None:
    token = await hosted.token()
    for version in ("0.0.1", "0.1.0", "0.2.0"):
        await push(hosted, token, "b", version)
    await push(hosted, token, "a", PRE)
    await yank(hosted, token, "b", "0.1.0")

    assert await lines(hosted) == [f"a {PRE} {await mark(hosted, 'a')}", f"b 0.0.1,0.2.0 {await mark(hosted, 'b')}"]


async def test_the_same_bytes_again_are_fine_and_others_are_refused(hosted: Gateway) -> None:
    token = await hosted.token()
    _, built = await push(hosted, token, "a", "1.0.0")
    before = await lines(hosted)

    again = await push_bytes(hosted, token, built.body)
    other, _ = await push(hosted, token, "a", "1.0.0", gem(size=10))

    assert (again.status, again.body) == (200, b"Gem was already pushed: a (1.0.0)\n")
    assert other.status == 409
    assert other.body.startswith(b"Repushing of gem versions is not allowed.")
    assert await lines(hosted) == before


async def test_names_that_differ_by_case_and_equal_versions_are_refused(hosted: Gateway) -> None:
    token = await hosted.token()
    await push(hosted, token, "RedCloth", "1.0")
    await push(hosted, token, "tool", "1.0")

    assert (await push(hosted, token, "redcloth", "2.0"))[0].status == 409
    assert (await push(hosted, token, "REDCLOTH", "2.0"))[0].status == 409
    assert (await push(hosted, token, "Tool", "2.0"))[0].status == 409
    assert (await push(hosted, token, "tool", "1.0.0", gem(size=1)))[0].status == 409
    assert (await push(hosted, token, "tool", "1.0", gem(platform="java")))[0].status == 200
    assert (await push(hosted, token, "RedCloth", "1.1"))[0].status == 200
    assert (await get(hosted, "names")).body == b"---\nRedCloth\ntool\n"


async def test_yanking_what_is_not_there_is_404(hosted: Gateway) -> None:
    token = await hosted.token()
    await push(hosted, token, "a", "1.0.0")

    unknown = await yank(hosted, token, "a", "2.0.0")
    assert (unknown.status, unknown.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert unknown.body == b"The version 2.0.0 of a does not exist here, or was yanked before.\n"
    assert (await yank(hosted, token, "missing", "1.0.0")).status == 404
    assert (await yank(hosted, token, "a", "1.0.0", "java")).status == 404


async def test_a_gemspec_says_what_the_gem_says(hosted: Gateway) -> None:
    recipe = gem(platform="x86_64-linux", dependencies={"rack": ">= 2"}, development={"rake": "~> 13.0"})
    await push(hosted, await hosted.token(), "a", "1.0.0", recipe)

    reply = await get(hosted, "quick/Marshal.4.8/a-1.0.0-x86_64-linux.gemspec.rz")
    spec = load_spec(reply.body)

    assert (spec.name, spec.version, spec.platform, spec.day) == ("a", "1.0.0", "x86_64-linux", (2024, 1, 2))
    assert [(one.name, one.is_runtime) for one in spec.dependencies] == [("rack", True), ("rake", False)]
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert b"Gem::Platform" in zlib.decompress(reply.body)


async def test_a_published_version_says_when(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": public("hosted")}})
    await push(gateway, await gateway.token(), "a", "1.0.0", gem(required_ruby=">= 3"))

    (line,) = await info(gateway, "a")

    assert line.rpartition(",")[2].startswith("created_at:20")
    assert line.endswith("Z")
    assert (await lines(gateway))[0].split()[2] == await mark(gateway, "a")
