"""Gems of an upstream: its lists followed, its gems verified, its names never taken for ours."""

import asyncio
import base64
import hashlib
import zlib

import pytest

from adapters.rubygems.marshal import dump_spec
from adapters.rubygems.marshal_reader import load_spec
from adapters.rubygems.spec import Clause, Dependency, Spec
from gateway.config import UpstreamConfig
from tests.conftest import Gateway, StartGateway, public
from tests.fakes.faults import answer, corrupt, truncate
from tests.fakes.gems import gem, text_page
from tests.fakes.upstream import FaultyUpstream
from tests.rubygems.asking import get, info, is_compact, lines, push, specs, yank


async def begin(start: StartGateway, fake: FaultyUpstream, *layers: str, **more: object) -> Gateway:
    repository = public(*(layers or ("hosted", "fake")), **more)
    return await start({"rubygems": {"acme/tools": repository}}, {"fake": fake.config("rubygems", max_age=0.0)})


async def later(gateway: Gateway) -> None:
    """What was held of the upstream is no longer fresh."""
    await gateway.services.document_rows.purge()


async def until(gateway: Gateway, before: bytes) -> None:
    """A stale list is refreshed beside the answer; wait until it is another one."""
    async with asyncio.timeout(30):
        while True:
            whole = await get(gateway, "versions", Range="bytes=0-")
            if len(whole.body) != len(before):
                return
            await asyncio.sleep(0.05)


async def test_an_upstreams_lines_are_passed_on_byte_for_byte(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems(
            "rack", {"1.0": gem(), "2.0": [gem(dependencies={"b": "> 1", "a": "~> 2.0"}), gem(platform="java")]}
        )
        gateway = await begin(start_gateway, fake)

        shown = await get(gateway, "info/rack")

        assert is_compact(shown)
        assert shown.body == fake.gems.info("rack")
        assert await lines(gateway) == [f"rack 1.0,2.0,2.0-java {hashlib.md5(shown.body).hexdigest()}"]
        assert (await get(gateway, "names")).body == b"---\nrack\n"
        assert await specs(gateway) == [("rack", "1.0", "ruby"), ("rack", "2.0", "java"), ("rack", "2.0", "ruby")]


async def test_a_gem_is_verified_against_the_checksum_of_the_index(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.rubygems("rack", {"1.0": gem(size=300_000)})
        gateway = await begin(start_gateway, fake)
        fake.fault(corrupt(), f"/gem/gems/{built.filename}")

        with pytest.raises(Exception, match=r"payload|disconnected|Connection"):
            await get(gateway, "gems/rack-1.0.gem")
        fake.heal()
        healed = await get(gateway, "gems/rack-1.0.gem")

        assert healed.body == built.body


async def test_what_an_upstream_adds_is_one_more_line(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await begin(start_gateway, fake)
        before = (await get(gateway, "versions")).body
        fake.rubygems("rack", {"1.0": gem(), "1.1": gem()})
        fake.rubygems("puma", {"5.0": gem()})
        await later(gateway)

        after = (await get(gateway, "versions")).body

        assert after.startswith(before)
        assert [line.rpartition(" ")[0] for line in after[len(before) :].decode().splitlines()] == [
            "rack 1.1",
            "puma 5.0",
        ]


async def test_the_list_only_grows_while_both_sides_move(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await begin(start_gateway, fake)
        token = await gateway.token()
        held = (await get(gateway, "versions")).body
        for step in range(12):
            fake.rubygems(f"theirs{step % 4}", {f"{v}.0": gem() for v in range(1, step + 2)})
            await push(gateway, token, f"ours{step % 3}", f"1.{step}")
            if step % 4 == 3:
                await yank(gateway, token, f"ours{step % 3}", f"1.{step}")
            await later(gateway)
            tail = await get(gateway, "versions", Range=f"bytes={len(held) - 1}-")
            held += tail.body[1:]

            assert tail.status == 206
            assert tail.headers["Content-Range"] == f"bytes {len(held) - len(tail.body)}-{len(held) - 1}/{len(held)}"
            assert f'"{hashlib.md5(held).hexdigest()}"' == tail.headers["ETag"]
        last = {}
        for line in held.decode().split("---\n", 1)[1].splitlines():
            last[line.split()[0]] = line.split()[2]
        for name, mark in last.items():
            assert hashlib.md5((await get(gateway, f"info/{name}")).body).hexdigest() == mark


async def test_every_old_list_is_where_a_new_one_begins(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await begin(start_gateway, fake)
        token = await gateway.token()
        held, theirs = (await get(gateway, "versions")).body, fake.gems.versions
        for step in range(20):
            theirs += b"".join(b"gem%d %d.0 %032x\n" % (n % 30, step * 50 + n, step * 50 + n) for n in range(50))
            fake.pages["/gem/versions"] = text_page(theirs)
            if step % 5 == 0:
                await push(gateway, token, "mine", f"{step}.0")
            await later(gateway)

            grown = (await get(gateway, "versions")).body

            assert grown.startswith(held)
            assert len(grown) > len(held)
            held = grown
        assert held.count(b"\ngem") == 20 * 30
        assert held.count(b"\nmine ") == 4


def long_list(fake: FaultyUpstream, *, is_proven: bool = True) -> bytes:
    """A list that is worth following by its tail, as the fake has it now."""
    if len(fake.gems.versions) < 300_000:
        fake.gems.versions += b"".join(b"gem%d 1.0 %032x\n" % (n, n) for n in range(8000))
    body = fake.gems.versions
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    fake.pages["/gem/versions"] = text_page(body, **({"Repr-Digest": f"sha-256=:{digest}:"} if is_proven else {}))
    return body


@pytest.mark.parametrize("is_proven", [True, False])
async def test_only_the_rest_of_an_upstreams_long_list_is_fetched_if_it_is_proven(
    start_gateway: StartGateway, is_proven: bool
) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        size = len(long_list(fake))
        gateway = await begin(start_gateway, fake)
        before = (await get(gateway, "versions")).body
        fake.rubygems("rack", {"1.0": gem(), "1.1": gem()})
        long_list(fake, is_proven=is_proven)
        fake.forget()
        await until(gateway, before)

        asked = [seen.headers.get("range") for seen in fake.seen if seen.plain_path == "/gem/versions"]
        after = (await get(gateway, "versions")).body

        assert asked[0] == f"bytes={size - 1}-"
        assert (None in asked) is not is_proven
        assert after[len(before) :].startswith(b"rack 1.1 ")


async def test_a_long_list_that_was_rewritten_is_fetched_whole(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        long_list(fake)
        gateway = await begin(start_gateway, fake)
        before = (await get(gateway, "versions")).body
        fake.gems.versions = fake.gems.versions.replace(b"2024-01-01", b"2024-02-01")
        fake.rubygems("rack", {"1.0": gem(), "1.1": gem()})
        long_list(fake)
        await until(gateway, before)

        assert (await get(gateway, "versions")).body[len(before) :].startswith(b"rack 1.1 ")


async def test_a_name_published_here_has_no_line_of_the_upstream(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("acme-tool", {"99.0": gem()})
        fake.rubygems("Acme-Other", {"99.0": gem()})
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await begin(start_gateway, fake, reserve=("acme-*",))
        _, mine = await push(gateway, await gateway.token(), "acme-tool", "1.0")

        assert [line.split()[:2] for line in await lines(gateway)] == [["acme-tool", "1.0"], ["rack", "1.0"]]
        assert [line.split()[0] for line in await info(gateway, "acme-tool")] == ["1.0"]
        assert await specs(gateway) == [("acme-tool", "1.0", "ruby"), ("rack", "1.0", "ruby")]
        for path in ("gems/acme-tool-99.0.gem", "quick/Marshal.4.8/acme-tool-99.0.gemspec.rz", "info/ACME-TOOL"):
            assert (await get(gateway, path)).status == 404, path
        assert (await get(gateway, "gems/acme-tool-1.0.gem")).body == mine.body
        assert {path for path in fake.counts if "acme" in path.lower()} == set()


async def test_publishing_over_a_listed_name_takes_the_upstreams_versions_back(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("left", {"9.0": gem()})
        gateway = await begin(start_gateway, fake)
        before = (await get(gateway, "versions")).body
        await push(gateway, await gateway.token(), "left", "1.0")

        after = (await get(gateway, "versions")).body
        mark = hashlib.md5((await get(gateway, "info/left")).body).hexdigest()

        assert after == before + f"left 1.0,-9.0 {mark}\n".encode()


async def test_a_damaged_list_is_not_believed_and_the_last_good_one_stays(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        for number in range(50):
            fake.rubygems(f"gem{number}", {"1.0": gem()})
        gateway = await begin(start_gateway, fake)
        good = (await get(gateway, "versions")).body
        whole = fake.gems.versions
        damaged = [
            text_page(whole[:-3]),
            text_page(whole[: whole.find(b"gem9 ")]),
            text_page(b"<html>down for maintenance</html>\n"),
            text_page(whole + b"evil 1.0 %032x\n" % 1, **{"Repr-Digest": "sha-256=:" + "A" * 43 + "=:"}),
        ]
        for page in damaged:
            fake.pages["/gem/versions"] = page
            await later(gateway)
            assert (await get(gateway, "versions")).body == good
        fake.pages["/gem/versions"] = text_page(whole)
        for fault in (answer(500), truncate(), answer(403)):
            fake.fault(fault, "/gem/versions")
            await later(gateway)
            assert (await get(gateway, "versions")).body == good
        await push(gateway, await gateway.token(), "mine", "1.0")
        assert (await get(gateway, "versions")).body.startswith(good + b"mine 1.0 ")


async def test_without_any_copy_trouble_is_trouble(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.fault(answer(500))
        gateway = await begin(start_gateway, fake)

        for path in ("versions", "names", "specs.4.8.gz", "info/rack", "gems/rack-1.0.gem"):
            assert (await get(gateway, path)).status == 503, path


async def test_info_is_stale_rather_than_gone(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await begin(start_gateway, fake)
        before = await get(gateway, "info/rack")
        fake.fault(answer(500))

        after = await get(gateway, "info/rack")

        assert (after.status, after.body) == (200, before.body)


async def test_an_upstreams_gemspec_is_read_and_written_anew(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem(dependencies={"base64": ">= 0.1"})})
        theirs = Spec(
            "rack",
            "1.0",
            rubygems_version="3.0.0",
            dependencies=(Dependency("base64", (Clause(">=", "0.1"),)),),
            summary="web",
        )
        fake.serve("/gem/quick/Marshal.4.8/rack-1.0.gemspec.rz", dump_spec(theirs))
        gateway = await begin(start_gateway, fake)

        shown = await get(gateway, "quick/Marshal.4.8/rack-1.0.gemspec.rz")

        assert load_spec(shown.body) == theirs


@pytest.mark.parametrize(
    "body",
    [
        dump_spec(Spec("rack", "1.0", dependencies=(Dependency("evil", (Clause(">=", "0"),)),))),
        dump_spec(Spec("rack", "1.1")),
        dump_spec(Spec("other", "1.0")),
        zlib.compress(b"\x04\bo:\x11Gem::Installer\x00"),
        zlib.compress(b"\x04\bc\x0bKernel"),
        zlib.compress(bytes(20_000_000)),
        b"not deflated",
    ],
)
async def test_a_gemspec_that_contradicts_the_index_is_refused(start_gateway: StartGateway, body: bytes) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        fake.serve("/gem/quick/Marshal.4.8/rack-1.0.gemspec.rz", body)
        gateway = await begin(start_gateway, fake)

        assert (await get(gateway, "quick/Marshal.4.8/rack-1.0.gemspec.rz")).status == 502


async def test_of_several_upstreams_the_first_or_the_owner_is_listed(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as one, FaultyUpstream() as two:
        one.rubygems("left", {"1.0": gem()})
        one.rubygems("owned", {"1.0": gem()})
        two.rubygems("left", {"9.0": gem()})
        two.rubygems("owned", {"9.0": gem()})
        two.rubygems("right", {"2.0": gem()})
        two.rubygems("barred", {"2.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("one", "two")}},
            {"one": one.config("rubygems"), "two": two.config("rubygems", exclude=("barred",))},
        )
        (repository,) = gateway.services.known().values()
        await gateway.services.packages.adopt(repository.id, "owned", "two")

        assert [line.split()[:2] for line in await lines(gateway)] == [
            ["left", "1.0"],
            ["owned", "9.0"],
            ["right", "2.0"],
        ]
        for name, version in (("left", "1.0"), ("owned", "9.0"), ("right", "2.0")):
            assert [line.split()[0] for line in await info(gateway, name)] == [version]
        assert (await get(gateway, "info/barred")).status == 404


async def test_a_line_without_a_checksum_is_left_out_everywhere(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem(), "2.0": gem()})
        body = fake.gems.info("rack").replace(b"checksum:", b"sum:", 1)
        fake.pages["/gem/info/rack"] = text_page(body)
        gateway = await begin(start_gateway, fake)

        assert [line.split()[0] for line in await info(gateway, "rack")] == ["2.0"]
        assert (await get(gateway, "gems/rack-1.0.gem")).status == 404
        assert (await get(gateway, "quick/Marshal.4.8/rack-1.0.gemspec.rz")).status == 404


async def test_a_second_gateway_is_an_upstream_like_any_other(start_gateway: StartGateway, tmp_path) -> None:
    first = await start_gateway({"rubygems": {"acme/tools": public("hosted")}}, data=tmp_path / "first")
    token = await first.token()
    await push(first, token, "rack", "1.0", gem(dependencies={"a": "> 1"}, development={"rake": ">= 0"}))
    second = await start_gateway(
        {"rubygems": {"acme/tools": public("hosted", "first")}},
        {"first": UpstreamConfig(type="rubygems", url=f"{first.url}rubygems/acme/tools/", max_age=0.0)},
        data=tmp_path / "second",
    )

    for path in ("info/rack", "names", "gems/rack-1.0.gem", "quick/Marshal.4.8/rack-1.0.gemspec.rz"):
        assert (await get(second, path)).body == (await get(first, path)).body, path
    assert await lines(second) == await lines(first)
    await push(first, token, "rack", "1.1")
    await later(second)
    assert (await lines(second)) == await lines(first)
    assert await info(second, "rack") == await info(first, "rack")


async def test_without_a_copy_that_may_be_served_one_of_the_right_md5_is(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        fake.rubygems("puma", {"1.0": gem()})
        repository = public("hosted", "fake")
        upstream = fake.config("rubygems", max_age=0.0, max_stale=0.0)
        gateway = await start_gateway({"rubygems": {"acme/tools": repository}}, {"fake": upstream})
        await lines(gateway)
        before = await get(gateway, "info/rack")
        fake.fault(answer(500), "/gem/info/rack")

        assert (await get(gateway, "info/rack")).body == before.body
        assert await info(gateway, "puma")
        fake.heal()
        fake.rubygems("rack", {"1.0": gem(), "1.1": gem()})
        await get(gateway, "versions", Range="bytes=0-")
        fake.fault(answer(500), "/gem/info/rack")

        assert (await get(gateway, "info/rack")).status == 503
        assert await info(gateway, "puma")


async def test_info_is_never_older_than_what_the_list_has_promised(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        fake.rubygems("puma", {"1.0": gem()})
        repositories = {"rubygems": {"acme/tools": public("hosted", "fake")}}
        gateway = await start_gateway(repositories, {"fake": fake.config("rubygems", max_age=3600.0)})
        for path in ("info/rack", "info/puma", "versions"):
            await get(gateway, path)
        fake.rubygems("rack", {"1.0": gem(), "1.1": gem()})
        await gateway.services.document_rows.purge("fake", "*/* versions")
        asked = fake.count("/gem/info/puma")

        whole = await get(gateway, "versions", Range="bytes=0-")
        mark = whole.body.decode().split()[-1]
        shown = await get(gateway, "info/rack")
        await get(gateway, "info/puma")

        assert hashlib.md5(shown.body).hexdigest() == mark
        assert fake.count("/gem/info/puma") == asked


async def test_info_that_contradicts_its_upstreams_own_list_is_asked_for_once(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem(), "2.0": gem()})
        fake.pages["/gem/info/rack"] = text_page(fake.gems.info("rack").replace(b"checksum:", b"sum:", 1))
        repositories = {"rubygems": {"acme/tools": public("hosted", "fake")}}
        gateway = await start_gateway(repositories, {"fake": fake.config("rubygems", max_age=3600.0)})
        await get(gateway, "info/rack")
        await get(gateway, "versions")

        for _ in range(4):
            assert (await get(gateway, "info/rack", Range="bytes=0-")).status == 206

        assert fake.count("/gem/info/rack") == 2


async def test_documents_of_the_index_are_kept_for_a_minute(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await begin(start_gateway, fake)
        token = await gateway.token()
        await push(gateway, token, "tool", "1.0")

        for path in ("versions", "names", "info/tool", "info/rack"):
            assert (await get(gateway, path)).headers["Cache-Control"] == "max-age=60", path
            assert (await get(gateway, path, token)).headers["Cache-Control"] == "private, max-age=60", path
