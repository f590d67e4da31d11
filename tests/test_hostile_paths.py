"""Paths that try to leave the stores, in every ecosystem's address space, sent byte for byte over a socket."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.conftest import Gateway, StartGateway, public
from tests.ecosystems import ECOSYSTEMS, Ecosystem
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


@pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)
async def test_a_hostile_path_is_refused_in_the_ecosystems_words(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )
        prefixes = ("", "simple/", "files/left/", "left/-/", "-/package/", "pypi/", "flat/left/", "info/", "gems/")

        for prefix in prefixes:
            for hostile in HOSTILE:
                status, headers, body = await raw(gateway, f"/{eco.type}/acme/tools/{prefix}{hostile}")

                assert 400 <= status < 500, (prefix, hostile, status)
                assert "x-injected" not in headers
                if eco.type not in {"pypi", "rubygems"}:
                    assert json.loads(body)["error"], (prefix, hostile, body)
                else:
                    assert headers["content-type"].startswith("text/plain"), (prefix, hostile)
        assert fake.count() == 0


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
