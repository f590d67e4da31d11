"""A document that only grows is put together only where a digest proves it."""

import base64
import hashlib

import pytest

from gateway.upstream.tails import joined, promised_sha256

HELD, WHOLE = b"one\n", b"one\ntwo\n"


def told(body: bytes = WHOLE, content_range: str = "bytes 3-7/8", name: str = "repr-digest") -> dict[str, str]:
    text = base64.b64encode(hashlib.sha256(body).digest()).decode()
    value = f"sha-256=:{text}:" if name == "repr-digest" else f"sha-256={text}"
    return {"content-range": content_range, name: value}


@pytest.mark.parametrize("name", ["repr-digest", "digest"])
def test_what_is_held_and_the_rest_are_the_whole(name: str) -> None:
    assert joined(HELD, b"\ntwo\n", told(name=name)) == WHOLE


@pytest.mark.parametrize(
    ("tail", "headers"),
    [
        (b"\ntwo\n", {"content-range": "bytes 3-7/8"}),
        (b"\ntwo\n", told(b"another")),
        (b"\ntwo\n", told(content_range="bytes 4-7/8")),
        (b"\ntwo\n", told(content_range="bytes 3-7/*")),
        (b"\ntwo\n", told(content_range="bytes 3-7/9")),
        (b"\ntwo\n", told(content_range="")),
        (b"xtwo\n", told()),
        (b"\ntwx\n", told()),
        (b"\ntwo", told()),
        (b"", told()),
    ],
)
def test_anything_else_is_asked_for_whole(tail: bytes, headers: dict[str, str]) -> None:
    assert joined(HELD, tail, headers) is None


def test_a_digest_that_is_none_promises_nothing() -> None:
    assert promised_sha256({"repr-digest": "sha-256=:short:", "digest": "md5=abc"}) is None
