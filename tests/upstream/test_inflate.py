"""Decompression within bounds."""

import gzip
import tracemalloc
import zlib

import pytest

from gateway.errors import UpstreamCorrupt
from gateway.upstream.inflate import Inflater


def inflated(encoding: str, *chunks: bytes, limit: int = 1_000_000) -> tuple[bytes, bool]:
    inflater = Inflater(encoding, limit)
    return b"".join(part for chunk in chunks for part in inflater.feed(chunk)), inflater.is_complete


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_a_plain_body_stays_as_it_is(encoding: str) -> None:
    assert inflated(encoding, b"ab", b"cd") == (b"abcd", True)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("gzip", gzip.compress(b"text")), ("X-GZIP", gzip.compress(b"text")), ("deflate", zlib.compress(b"text"))],
)
def test_a_compressed_body_is_undone(encoding: str, body: bytes) -> None:
    assert inflated(encoding, body) == (b"text", True)
    assert inflated(encoding, *(body[at : at + 1] for at in range(len(body)))) == (b"text", True)


def test_members_that_follow_one_another_are_one_body() -> None:
    assert inflated("gzip", gzip.compress(b"one ") + gzip.compress(b"two")) == (b"one two", True)


def test_a_body_that_ends_early_is_not_complete() -> None:
    assert not inflated("gzip", gzip.compress(b"text" * 100)[:-4])[1]
    assert not inflated("gzip")[1]


@pytest.mark.parametrize("body", [b"not compressed at all", gzip.compress(b"text") + b"trailing rubbish"])
def test_broken_compression_is_corrupt(body: bytes) -> None:
    with pytest.raises(UpstreamCorrupt, match="broken"):
        inflated("gzip", body)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "aes128gcm"])
def test_an_encoding_we_did_not_ask_for_is_corrupt(encoding: str) -> None:
    with pytest.raises(UpstreamCorrupt, match="unknown content encoding"):
        Inflater(encoding, 1000)


def test_a_bomb_is_refused_before_it_is_in_memory() -> None:
    bomb = gzip.compress(bytes(200_000_000), 1)
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamCorrupt, match="larger than 1000000 bytes"):
            inflated("gzip", bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000
