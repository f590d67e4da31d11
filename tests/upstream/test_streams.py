"""Files from an upstream: as they are, from an offset, at full speed."""

import gzip
from collections.abc import Callable

import pytest

from gateway.config import Config, UpstreamConfig
from gateway.errors import Blocked, FileUnknown, UpstreamCorrupt, UpstreamTrouble
from gateway.upstream.client import Stream, UpstreamClient
from gateway.upstream.registry import Upstream, build_upstreams
from tests.fakes import faults
from tests.fakes.upstream import FaultyUpstream

Build = Callable[..., Upstream]
BODY = bytes(range(256)) * 4000


async def collected(stream: Stream) -> bytes:
    return b"".join([chunk async for chunk in stream.chunks])


async def test_a_file_comes_whole_and_says_its_size(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    async with client.stream(upstream(), f"{fake.url}files/acme.whl") as stream:
        assert (stream.total, stream.offset) == (len(BODY), 0)
        assert await collected(stream) == BODY

    assert fake.seen[0].headers["accept-encoding"] == "identity"
    assert "range" not in fake.seen[0].headers
    assert client.health()[0].bytes == len(BODY)


async def test_a_file_goes_on_where_it_broke_off(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    async with client.stream(upstream(), f"{fake.url}files/acme.whl", 1000) as stream:
        assert (stream.total, stream.offset) == (len(BODY), 1000)
        assert await collected(stream) == BODY[1000:]

    assert fake.seen[0].headers["range"] == "bytes=1000-"


async def test_a_server_that_ignores_the_range_is_noticed(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.ranges = False

    async with client.stream(upstream(), f"{fake.url}files/acme.whl", 1000) as stream:
        assert (stream.total, stream.offset) == (len(BODY), 0)
        assert await collected(stream) == BODY


@pytest.mark.parametrize("content_range", ["", "bytes 0-9/10", "bytes 999-1999/5000", "bytes */5000", "lines 1000-1/2"])
async def test_another_range_than_the_one_asked_for_is_refused(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, content_range: str
) -> None:
    fake.fault(faults.answer(206, {"Content-Range": content_range}))

    with pytest.raises(UpstreamCorrupt, match="another range than the one from 1000"):
        async with client.stream(upstream(), f"{fake.url}files/acme.whl", 1000):
            pass


async def test_a_range_beyond_the_end_is_refused(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    with pytest.raises(UpstreamCorrupt, match="no longer has the rest"):
        async with client.stream(upstream(), f"{fake.url}files/acme.whl", len(BODY)):
            pass


async def test_a_range_of_unknown_whole_is_taken(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.fault(faults.answer(206, {"Content-Range": "bytes 1000-1003/*"}))

    async with client.stream(upstream(), f"{fake.url}files/acme.whl", 1000) as stream:
        assert (stream.total, stream.offset) == (None, 1000)


@pytest.mark.parametrize("fault", [faults.truncate(5000), faults.wrong_length(100)], ids=["truncate", "length"])
async def test_a_body_that_breaks_off_is_trouble_after_what_came(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, fault: faults.Fault
) -> None:
    fake.fault(fault)

    async with client.stream(upstream(), f"{fake.url}files/acme.whl") as stream:
        with pytest.raises(UpstreamTrouble, match="broke off"):
            await collected(stream)

    assert client.health()[0].bytes in {5000, len(BODY)}
    assert client.health()[0].failures == 1


async def test_a_body_that_stalls_is_trouble(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.fault(faults.slow(rate=2))

    async with client.stream(upstream(read_timeout=0.1), f"{fake.url}files/acme.whl") as stream:
        with pytest.raises(UpstreamTrouble, match="timed out"):
            await collected(stream)


async def test_a_corrupt_byte_passes_here_for_the_digest_to_find(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.corrupt(7))

    async with client.stream(upstream(), f"{fake.url}files/acme.whl") as stream:
        body = await collected(stream)

    assert [at for at in range(len(BODY)) if BODY[at] != body[at]] == [7]


async def test_an_absent_file_is_unknown(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    with pytest.raises(FileUnknown):
        async with client.stream(upstream(), f"{fake.url}files/missing.whl"):
            pass


async def test_a_refused_file_is_blocked(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.fault(faults.answer(403))

    with pytest.raises(Blocked):
        async with client.stream(upstream(), f"{fake.url}files/acme.whl"):
            pass


async def test_a_tarball_labelled_as_compressed_stays_as_it_is(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    body = gzip.compress(b"an archive", mtime=0)
    fake.serve("/files/acme.tar.gz", body, "application/x-tar", {"Content-Encoding": "x-gzip"})

    async with client.stream(upstream(), f"{fake.url}files/acme.tar.gz") as stream:
        assert await collected(stream) == body


async def test_a_file_compressed_against_our_word_is_refused(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.serve("/files/acme.pom", gzip.compress(b"<project/>"), headers={"Content-Encoding": "gzip"})

    with pytest.raises(UpstreamCorrupt, match="nobody asked for"):
        async with client.stream(upstream(), f"{fake.url}files/acme.pom"):
            pass


async def test_chunks_are_passed_on_without_being_cut_anew(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.serve("/files/big.whl", bytes(8_000_000))

    async with client.stream(upstream(), f"{fake.url}files/big.whl") as stream:
        sizes = [len(chunk) async for chunk in stream.chunks]

    assert sum(sizes) == 8_000_000
    assert max(sizes) > 16 * 1024
    assert max(sizes) <= 1024 * 1024


async def test_a_reader_who_stops_early_spoils_nothing(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.endless())
    async with client.stream(upstream(), f"{fake.url}files/acme.whl") as stream:
        await anext(stream.chunks)
    fake.heal()

    async with client.stream(upstream(), f"{fake.url}files/acme.whl") as stream:
        assert await collected(stream) == BODY

    assert client.health()[0].failures == 0


async def test_an_error_of_the_readers_own_is_not_the_upstreams(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    with pytest.raises(OSError, match="disk full"):
        async with client.stream(upstream(), f"{fake.url}files/acme.whl"):
            raise OSError("disk full")

    assert client.health()[0].failures == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1:1/x",
        "http://localhost/",
        "http://2130706433/",
        "http://[::1]/",
    ],
)
async def test_a_listing_cannot_make_us_fetch_from_elsewhere(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, url: str
) -> None:
    with pytest.raises(UpstreamTrouble):
        async with client.stream(upstream(), url):
            pass

    assert client.health() == []


async def test_an_encrypted_upstream_cannot_name_files_over_http(client: UpstreamClient, fake: FaultyUpstream) -> None:
    entry = UpstreamConfig(type="pypi", url="https://index.test/", hosts=(fake.authority,))
    encrypted = build_upstreams(Config(upstreams={"encrypted": entry}))["encrypted"]

    with pytest.raises(UpstreamTrouble, match="from https to http"):
        async with client.stream(encrypted, f"{fake.url}files/acme.whl"):
            pass

    assert fake.count() == 0
