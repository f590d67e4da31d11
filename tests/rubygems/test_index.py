"""How clients follow the index: conditions, ranges, compression, digests, and lists that differ by who asks."""

import asyncio
import base64
import gzip
import hashlib
import random

import pytest

from gateway.config import RepositoryConfig
from gateway.model import Scope, Visibility
from tests.conftest import Gateway, StartGateway, private, public
from tests.fakes.faults import answer
from tests.fakes.gems import gem
from tests.fakes.upstream import FaultyUpstream
from tests.racing import meet
from tests.rubygems.asking import BASE, LISTS, get, info, is_compact, lines, push, specs, yank

DOCUMENTS = ("versions", "info/tool", "names")


@pytest.fixture
async def hosted(start_gateway: StartGateway) -> Gateway:
    gateway = await start_gateway({"rubygems": {"acme/tools": public("hosted")}})
    await push(gateway, await gateway.token(), "tool", "1.0")
    return gateway


@pytest.fixture
async def large(start_gateway: StartGateway) -> Gateway:
    """A list that is sent from its file."""
    fake = FaultyUpstream()
    await fake.start()
    for number in range(3000):
        fake.gems.gems[f"gem{number}"] = []
        fake.gems.versions += b"gem%d 1.0,2.0 %032x\n" % (number, number)
    fake.rubygems("rack", {"1.0": gem()})
    gateway = await start_gateway(
        {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
    )
    await get(gateway, "versions")
    await fake.stop()
    return gateway


async def check(gateway: Gateway, path: str) -> None:
    whole = await get(gateway, path)
    size = len(whole.body)
    etag = whole.headers["ETag"]

    for condition in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        known = await get(gateway, path, If_None_Match=condition)
        assert (known.status, known.body, known.headers["ETag"]) == (304, b"", etag), condition
    tail = await get(gateway, path, Range=f"bytes={size - 3}-", If_None_Match='"old"', Accept_Encoding="gzip")
    assert (tail.status, tail.body) == (206, whole.body[-3:])
    assert tail.headers["Content-Range"] == f"bytes {size - 3}-{size - 1}/{size}"
    assert tail.headers["Repr-Digest"] == whole.headers["Repr-Digest"]
    assert "Content-Encoding" not in tail.headers
    both = await get(gateway, path, Range=f"bytes={size - 3}-", If_None_Match=etag)
    assert both.status == 304
    beyond = await get(gateway, path, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    packed = await get(gateway, path, Accept_Encoding="gzip")
    if "Content-Encoding" in packed.headers:
        assert gzip.decompress(packed.body) == whole.body
    assert packed.headers["Repr-Digest"] == whole.headers["Repr-Digest"]
    head = await gateway.request("HEAD", BASE + path)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Repr-Digest", "Accept-Ranges", "Content-Type"):
        assert head.headers[name] == whole.headers[name], name


async def test_conditions_ranges_and_compression_of_short_documents(hosted: Gateway) -> None:
    for path in DOCUMENTS:
        await check(hosted, path)


async def test_conditions_ranges_and_compression_of_a_long_list(large: Gateway) -> None:
    whole = await get(large, "versions")
    packed = await get(large, "versions", Accept_Encoding="gzip")

    assert is_compact(whole)
    assert len(whole.body) > 100_000
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(whole.body) // 2
    await check(large, "versions")
    await push(large, await large.token(), "mine", "1.0")
    after = await get(large, "versions")
    assert after.body.startswith(whole.body)
    assert gzip.decompress((await get(large, "versions", Accept_Encoding="gzip")).body) == after.body


async def test_a_publish_costs_one_appended_line_however_long_the_list(large: Gateway) -> None:
    before = await get(large, "versions")
    await push(large, await large.token(), "mine", "1.0")

    tail = await get(large, "versions", Range=f"bytes={len(before.body) - 1}-", If_None_Match=before.headers["ETag"])

    mark = hashlib.md5((await get(large, "info/mine")).body).hexdigest()
    assert tail.body == b"\nmine 1.0 " + mark.encode() + b"\n"


async def test_what_is_pushed_later_is_appended_whatever_its_number(hosted: Gateway) -> None:
    token, held = await hosted.token(), (await get(hosted, "info/tool")).body
    for version, platform in (("10.0", "ruby"), ("0.9", "ruby"), ("0.9", "java"), ("1.0.pre", "ruby")):
        await push(hosted, token, "tool", version, gem(platform=platform))
        tail = await get(hosted, "info/tool", Range=f"bytes={len(held) - 1}-")
        held += tail.body[1:]

        label = version if platform == "ruby" else f"{version}-{platform}"
        assert (tail.status, tail.body.count(b"\n")) == (206, 2)
        assert tail.body.startswith(f"\n{label} |checksum:".encode())
        assert tail.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(held).digest()).decode()}:"


async def test_a_hundred_random_steps_keep_every_promise(hosted: Gateway) -> None:
    token, chance = await hosted.token(), random.Random(5)
    held = (await get(hosted, "versions")).body
    live = [("tool", "1.0")]
    for step in range(100):
        if live and chance.random() < 0.35:
            name, version = live.pop(chance.randrange(len(live)))
            assert (await yank(hosted, token, name, version)).status == 200
        else:
            live.append((f"gem{chance.randrange(5)}", f"2.{step}"))
            assert (await push(hosted, token, *live[-1]))[0].status == 200
        tail = await get(hosted, "versions", Range=f"bytes={len(held) - 1}-")
        held += tail.body[1:]
        assert tail.body.count(b"\n") == 2
        assert tail.headers["ETag"] == f'"{hashlib.md5(held).hexdigest()}"'
        assert tail.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(held).digest()).decode()}:"

    assert held == (await get(hosted, "versions")).body
    assert sorted((name, version) for name, version, _ in await specs(hosted)) == sorted(live)


async def test_nothing_new_is_304_and_a_push_changes_two_documents(hosted: Gateway) -> None:
    before = {path: await get(hosted, path) for path in DOCUMENTS}
    again = [await get(hosted, path, If_None_Match=reply.headers["ETag"]) for path, reply in before.items()]
    await push(hosted, await hosted.token(), "tool", "1.1")
    after = [(await get(hosted, path, If_None_Match=reply.headers["ETag"])).status for path, reply in before.items()]

    assert [reply.status for reply in again] == [304, 304, 304]
    assert after == [200, 200, 304]


async def test_of_two_pushes_of_one_version_at_once_one_is_refused(hosted: Gateway) -> None:
    token = await hosted.token()

    done = await asyncio.gather(*(push(hosted, token, "left", "1.0", gem(size=size)) for size in range(1, 5)))

    assert sorted(reply.status for reply, _ in done) == [200, 409, 409, 409]
    assert len([line for line in await lines(hosted) if line.startswith("left ")]) == 1
    assert len(await info(hosted, "left")) == 1


async def test_of_equal_versions_pushed_at_once_one_is_published(hosted: Gateway) -> None:
    token = await hosted.token()
    versions = ("1.0", "1.0.0", "1", "1.0.0.0")

    done = await asyncio.gather(*(push(hosted, token, "left", version) for version in versions))

    assert sorted(reply.status for reply, _ in done) == [200, 409, 409, 409]
    assert len(await info(hosted, "left")) == 1


async def test_several_versions_may_be_yanked_at_once(hosted: Gateway) -> None:
    token, versions = await hosted.token(), [f"{n}.0" for n in range(6)]
    for version in versions:
        await push(hosted, token, "left", version)

    done = await asyncio.gather(*(yank(hosted, token, "left", version) for version in versions))

    assert [reply.status for reply in done] == [200] * 6
    assert await info(hosted, "left") == []


async def test_platforms_of_one_version_pushed_at_once_are_all_published(hosted: Gateway) -> None:
    token = await hosted.token()
    platforms = ("ruby", "java", "x86_64-linux", "arm64-darwin", "x64-mingw-ucrt")

    done = await asyncio.gather(*(push(hosted, token, "left", "1.0", gem(platform=platform)) for platform in platforms))

    assert [reply.status for reply, _ in done] == [200] * 5
    assert len(await info(hosted, "left")) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a-1", "2", "ruby"), ("a", "1", "2")),
        (("a-1", "2", "ruby"), ("A", "1", "2")),
        (("a-1-2", "3", "ruby"), ("a-1", "2", "3")),
        (("b", "1.0", "ruby"), ("B", "1.0", "ruby")),
        (("Two", "1.0", "ruby"), ("TWO", "2.0", "ruby")),
        (("a", "1.0", "java"), ("a", "1.0", "Java")),
        (("a", "1.0.b", "ruby"), ("a", "1.0.B", "ruby")),
    ],
)
async def test_of_two_gems_at_once_that_cannot_be_told_apart_one_is_published(
    hosted: Gateway, monkeypatch: pytest.MonkeyPatch, one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    token = await hosted.token()
    meet(monkeypatch, 2)

    done = await asyncio.gather(*(push(hosted, token, name, v, gem(platform=p)) for name, v, p in (one, other)))

    assert sorted(reply.status for reply, _ in done) == [200, 409]
    listed = [line.split() for line in await lines(hosted) if not line.startswith("tool ")]
    assert [len(labels.split(",")) for _, labels, _ in listed] == [1]
    assert len(await info(hosted, listed[0][0])) == 1


async def test_a_merged_name_may_be_published_after_its_upstreams_gem_was_fetched(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("tool", {"1.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake", merge=("tool",))}}, {"fake": fake.config("rubygems")}
        )
        assert (await get(gateway, "gems/tool-1.0.gem")).status == 200

        pushed, _ = await push(gateway, await gateway.token(), "tool", "2.0")

        assert (pushed.status, pushed.body) == (200, b"Successfully registered gem: tool (2.0)\n")
        assert [line.split()[0] for line in await info(gateway, "tool")] == ["1.0", "2.0"]


async def test_a_listed_name_is_never_an_error(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("gone", {"1.0": gem()})
        fake.remove("/gem/info/gone")
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )
        assert (await get(gateway, "versions")).status == 200

        assert await info(gateway, "gone") == []
        assert (await get(gateway, "info/never")).status == 404


async def test_no_fallback_finds_what_an_upstream_refuses(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("bad", {"1.0": gem()})
        fake.fault(answer(403), "/gem/info/bad")
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )

        for path in ("info/bad", "gems/bad-1.0.gem", "quick/Marshal.4.8/bad-1.0.gemspec.rz", "api/v1/gems/bad.json"):
            assert (await get(gateway, path)).status == 403, path
        assert fake.count("/gem/gems/bad-1.0.gem") == 0


async def test_a_publish_waits_for_no_upstream_and_for_no_list(start_gateway: StartGateway, tmp_path) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )
        token = await gateway.token()
        await get(gateway, "versions")
        await gateway.services.document_rows.purge()
        fake.forget()

        first, _ = await push(gateway, token, "tool", "1.0")
        for path in tmp_path.glob("data/cache/ledgers/*/*"):
            path.unlink()
        for path in tmp_path.glob("data/cache/ledgers/*"):
            path.rmdir()
            path.write_bytes(b"in the way")
        second, _ = await push(gateway, token, "tool", "1.1")

        assert (first.status, second.status) == (200, 200)
        assert fake.count() == 0
        for path in tmp_path.glob("data/cache/ledgers/*"):
            path.unlink()
        assert [line.split()[:2] for line in await lines(gateway)] == [["rack", "1.0"], ["tool", "1.0,1.1"]]


async def test_a_list_outlives_the_process_and_goes_on(start_gateway: StartGateway, tmp_path) -> None:
    first = await start_gateway({"rubygems": {"acme/tools": public("hosted")}}, data=tmp_path / "one")
    token = await first.token()
    await push(first, token, "tool", "1.0")
    before = (await get(first, "versions")).body
    second = await start_gateway({"rubygems": {"acme/tools": public("hosted")}}, data=tmp_path / "one")

    assert (await get(second, "versions")).body == before
    await push(second, token, "tool", "1.1")
    await push(first, token, "tool", "1.2")
    after = (await get(second, "versions")).body

    assert after.startswith(before)
    assert [line.split()[1] for line in await lines(first)] == ["1.0", "1.1", "1.2"]
    assert (await get(first, "versions")).body == after


@pytest.mark.parametrize("lost", ["*.txt", "head.json", "*"])
async def test_a_lost_list_is_made_anew(start_gateway: StartGateway, hosted: Gateway, tmp_path, lost: str) -> None:
    await get(hosted, "versions")
    for path in tmp_path.glob(f"data/cache/ledgers/*/{lost}"):
        path.unlink()
    again = await start_gateway({"rubygems": {"acme/tools": public("hosted")}})
    await push(again, await hosted.token(), "tool", "1.1")

    assert [line.split()[:2] for line in await lines(again)] in (
        [["tool", "1.0,1.1"]],
        [["tool", "1.0"], ["tool", "1.1"]],
    )


async def test_a_name_that_is_not_for_everybody_is_on_nobody_elses_list(hosted: Gateway) -> None:
    token = await hosted.token()
    await push(hosted, token, "secret", "1.0")
    (repository,) = hosted.services.known().values()
    await hosted.services.packages.set_restricted(repository.id, "secret", True)

    assert [line.split()[0] for line in await lines(hosted)] == ["tool"]
    assert (await get(hosted, "names")).body == b"---\ntool\n"
    for which in LISTS:
        assert "secret" not in str(await specs(hosted, which))
    for path in (
        "info/secret",
        "gems/secret-1.0.gem",
        "quick/Marshal.4.8/secret-1.0.gemspec.rz",
        "api/v1/versions/secret.json",
        "api/v1/gems/secret.json",
    ):
        assert (await get(hosted, path)).status == 404, path
        assert (await get(hosted, path, token)).status == 200, path
    assert [line.split()[0] for line in await lines(hosted, token)] == ["secret", "tool"]
    assert (await get(hosted, "names", token)).body == b"---\nsecret\ntool\n"


async def test_a_token_for_some_gems_sees_only_those(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    token = await gateway.token()
    for name in ("one", "two"):
        await push(gateway, token, name, "1.0")
    narrow = await gateway.token(packages=("one",))

    assert [line.split()[0] for line in await lines(gateway, narrow)] == ["one"]
    assert [name for name, _, _ in await specs(gateway, token=narrow)] == ["one"]
    assert (await get(gateway, "info/two", narrow)).status == 404
    before = (await get(gateway, "versions", narrow)).body
    await push(gateway, token, "one", "1.1")
    assert (await get(gateway, "versions", narrow)).body.startswith(before)


async def test_a_group_shows_each_reader_its_members(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("tool", {"99.0": gem()})
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await start_gateway(
            {
                "rubygems": {
                    "acme/tools": private("hosted"),
                    "acme/all": RepositoryConfig(layers=("acme/tools", "fake"), visibility=Visibility.PUBLIC),
                }
            },
            {"fake": fake.config("rubygems")},
        )
        token = await gateway.token()
        await push(gateway, token, "tool", "1.0")

        outsider = await gateway.get("rubygems/acme/all/versions")
        insider = await gateway.get("rubygems/acme/all/versions", token)

        assert [line.split(b" ")[0] for line in outsider.body.splitlines()[2:]] == [b"rack"]
        assert [line.split(b" ")[:2] for line in insider.body.splitlines()[2:]] == [
            [b"rack", b"1.0"],
            [b"tool", b"1.0"],
        ]
        assert (await gateway.get("rubygems/acme/all/info/tool")).status == 404
        assert (await gateway.get("rubygems/acme/all/info/tool", token)).status == 200


async def test_a_merged_name_has_the_versions_of_both(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("tool", {"1.0": gem(), "2.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake", merge=("tool",))}}, {"fake": fake.config("rubygems")}
        )
        before = (await get(gateway, "versions")).body
        _, mine = await push(gateway, await gateway.token(), "tool", "1.0.0", gem(size=10))

        shown = await get(gateway, "info/tool")
        after = (await get(gateway, "versions")).body

        assert [line.split(b" ")[0] for line in shown.body.splitlines()[1:]] == [b"2.0", b"1.0.0"]
        assert after == before + f"tool 1.0.0,-1.0 {hashlib.md5(shown.body).hexdigest()}\n".encode()
        assert (await get(gateway, "gems/tool-1.0.0.gem")).body == mine.body


async def test_names_of_a_private_repository_are_behind_the_same_401(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    stranger = await gateway.token("eve", (Scope.READ,), is_admin=False)

    for path in (*DOCUMENTS, "specs.4.8.gz", "gems/tool-1.0.gem", "quick/Marshal.4.8/tool-1.0.gemspec.rz", ""):
        refused = await get(gateway, path)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="acme/tools"'), path
        assert (await get(gateway, path, stranger)).status in {403, 404}, path


async def test_what_is_retired_or_unknown_is_404(hosted: Gateway) -> None:
    for path in ("api/v1/dependencies", "api/v1/dependencies.json", "api/v1/dependencies?gems=tool", "Marshal.4.8.Z"):
        for method in ("GET", "HEAD", "POST"):
            assert (await hosted.request(method, BASE + path)).status == 404, (method, path)
    assert (await hosted.request("POST", f"{BASE}api/v1/webauthn_verification")).status == 404
    assert (await hosted.request("HEAD", BASE)).status == 200
    assert (await hosted.request("HEAD", BASE.rstrip("/"))).status == 200


async def test_many_small_steps_begin_the_list_anew_in_time(hosted: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.roster.writing._LEAST_JOURNAL", 400)
    token, sizes, before = await hosted.token(), [], b""
    for step in range(30):
        await push(hosted, token, f"gem{step % 3}", f"1.{step}")
        whole = await get(hosted, "versions", Range="bytes=0-")
        sizes.append(len(whole.body))
        if step == 5:
            before = whole.body

    after = (await get(hosted, "versions", Range="bytes=0-")).body
    marks = {line.split()[0]: line.split()[2] for line in after.decode().split("---\n")[1].splitlines()}
    for name, mark in marks.items():
        assert hashlib.md5((await get(hosted, f"info/{name}")).body).hexdigest() == mark
    assert not after.startswith(before)
    assert max(sizes) < 1200
    assert len(await specs(hosted)) == 31
