"""Paths that try to leave the stores, in every ecosystem's address space, sent byte for byte over a socket."""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import pytest

from tests.conftest import Gateway, StartGateway, public
from tests.fakes.upstream import FaultyUpstream

HOSTILE = (
    "../../../etc/passwd",
    "..",
    "a/../../b",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fetc",
    "a%2fb",
    "a%5c..%5cb",
    "a\\..\\b",
    "a%00.tgz",
    "%252e%252e%252fetc",
    "%25%32%65",
    "a//b",
    "//etc/passwd",
    "@acme%2f..%2flib",
    "@..%2flib",
    "-/../lib",
    "a%0d%0aX-Injected:%201",
    "%ff%fe",
    "%",
    "x" * 64_000,
)


async def raw(gateway: Gateway, target: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for a request target as it is."""
    where = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(
            f"{method} {target} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        await writer.drain()
        whole = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split()[1]), {k.lower(): v for k, v in headers.items()}, body


def _has_error(headers: dict[str, str], body: bytes) -> bool:
    return bool(json.loads(body)["error"])


def _is_text(headers: dict[str, str], body: bytes) -> bool:
    return headers["content-type"].startswith("text/plain") and body != b""


def _is_problem(headers: dict[str, str], body: bytes) -> bool:
    """RFC 9457, for Maven."""
    return headers["content-type"] == "application/problem+json" and json.loads(body)["status"] >= 400


def _has_errors(headers: dict[str, str], body: bytes) -> bool:
    """OCI distribution-spec, "Error Codes"."""
    return all(error["code"].isupper() and error["message"] for error in json.loads(body)["errors"])


# Type → what a refusal looks like, and what the hostile paths are put behind, below the repository or the host.
PLACES: dict[str, tuple[Callable[[dict[str, str], bytes], bool], tuple[str, ...]]] = {
    "pypi": (_is_text, ("", "simple/", "files/left/", "pypi/")),
    "npm": (_has_error, ("", "left/-/", "-/package/", "-/user/")),
    "nuget": (_has_error, ("", "flat/left/", "registration/left/", "symbols/", "v2/")),
    "rubygems": (_is_text, ("", "info/", "gems/", "api/v1/versions/")),
    "maven": (_is_problem, ("", "com/", "com/acme/left/1.0/", "-/api/v1/")),
    "container": (_has_errors, ("v2/", "v2/left/manifests/", "v2/left/blobs/", "/v2/container/acme/tools/")),
}


@pytest.mark.parametrize("kind", PLACES)
async def test_a_hostile_path_is_refused_in_the_ecosystems_words(start_gateway: StartGateway, kind: str) -> None:
    is_refusal, prefixes = PLACES[kind]
    async with FaultyUpstream() as fake:
        gateway = await start_gateway({kind: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(kind)})

        for prefix in prefixes:
            for hostile in HOSTILE:
                path = urljoin(f"/{kind}/acme/tools/", prefix) + hostile
                status, headers, body = await raw(gateway, path)

                assert 400 <= status < 500, (prefix, hostile, status)
                assert "x-injected" not in headers
                assert is_refusal(headers, body), (prefix, hostile, headers, body)
        assert [seen.path for seen in fake.seen] == []


@pytest.mark.parametrize(
    "target",
    [
        "/..",
        "/pypi/../x/y",
        "/pypi/a%2fb/c/simple/",
        "/pypi/a/..%2f/simple/",
        "/nowhere",
        "/pypi",
        "/pypi/a",
        "/%00",
        "/-/ui/../../x",
        "/-/api/v1/%2e%2e",
    ],
)
async def test_hostile_paths_outside_a_repository_are_refused_too(start_gateway: StartGateway, target: str) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})

    status, _, _ = await raw(gateway, target)

    assert 400 <= status < 500


async def test_a_host_header_that_is_none_is_refused(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})

    answered = await gateway.get("pypi/acme/tools/simple/", Host="evil.example/<script>")

    assert answered.status == 400
