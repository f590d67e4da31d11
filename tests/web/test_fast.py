"""The shortest way gives the same answers as the whole way, and stands aside whenever it cannot know."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from gateway.config import ServerConfig
from gateway.model import Scope
from tests.conftest import Gateway, StartGateway, private, public
from tests.ecosystems import NPM, PYPI, Ecosystem
from tests.fakes.upstream import FaultyUpstream

ECOSYSTEMS = pytest.mark.parametrize("eco", [PYPI, NPM], ids=lambda eco: eco.type)
VARYING = {"date", "x-request-id"}


class Connection:
    """One keep-alive connection, fed with bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, gateway: Gateway) -> "Connection":
        where = urlsplit(gateway.url)
        return cls(*await asyncio.open_connection(where.hostname, where.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0))) if " 304 " not in head[0] else b""
        return int(head[0].split()[1]), headers, body

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        await self.send(data)
        return await self.answer()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[Gateway], Awaitable[Connection]]]:
    """Opens connections, and closes them after the test."""
    opened: list[Connection] = []

    async def to(gateway: Gateway) -> Connection:
        opened.append(await Connection.to(gateway))
        return opened[-1]

    yield to
    for connection in opened:
        connection.writer.close()
        await asyncio.gather(connection.writer.wait_closed(), return_exceptions=True)


Connect = Callable[[Gateway], Awaitable[Connection]]


def request(path: str, token: str | None = None, *more: str, method: str = "GET", version: str = "1.1") -> bytes:
    auth = [f"Authorization: Bearer {token}"] if token else []
    lines = [f"{method} /{path} HTTP/{version}", "Host: gateway.example", "User-Agent: tests", *auth, *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def constant(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = answer
    return status, {k: v for k, v in headers.items() if k not in VARYING}, body


def hits(gateway: Gateway) -> int:
    """Requests that were answered before they were parsed, so far."""
    return gateway.services.short_answers


async def test_what_was_answered_before_it_was_parsed_is_told_in_the_metrics(
    start_gateway: StartGateway, connect: Connect
) -> None:
    gateway, token = await begin(start_gateway, NPM)
    connection = await connect(gateway)
    for _ in range(4):
        await connection.ask(request(NPM.listing("acme-tool"), token))

    page = (await gateway.get("-/metrics", token)).body.decode()

    assert hits(gateway) > 0
    assert f"entrepot_requests_short_total {hits(gateway)}.0" in page.splitlines()


async def begin(start: StartGateway, eco: Ecosystem, *, is_fast: bool = True) -> tuple[Gateway, str]:
    gateway = await start({eco.type: {"acme/tools": public("hosted")}}, server=ServerConfig(fast_path=is_fast))
    token = await gateway.token()
    await eco.publish(gateway, "acme-tool", "1.0.0", token)
    return gateway, token


@ECOSYSTEMS
async def test_both_ways_give_the_same_answers(start_gateway: StartGateway, connect: Connect, eco: Ecosystem) -> None:
    gateway, token = await begin(start_gateway, eco)
    artifact = eco.recipe().build("acme-tool", "1.0.0")
    asked = [
        request(eco.listing("acme-tool"), None, f"Accept: {eco.accept}"),
        request(eco.listing("acme-tool"), token, f"Accept: {eco.accept}", "Accept-Encoding: gzip"),
        request(eco.listing("acme-tool"), token, "Accept: */*"),
        request(eco.file("acme-tool", artifact), token),
        request(eco.listing("nobody"), token),
    ]
    connection = await connect(gateway)

    for data in asked:
        whole = constant(await connection.ask(data))
        for _ in range(3):
            assert constant(await connection.ask(data)) == whole

    assert hits(gateway) >= 8


@ECOSYSTEMS
async def test_a_condition_is_answered_from_the_table_too(
    start_gateway: StartGateway, connect: Connect, eco: Ecosystem
) -> None:
    gateway, _ = await begin(start_gateway, eco)
    connection = await connect(gateway)
    _, headers, _ = await connection.ask(request(eco.listing("acme-tool")))
    conditional = request(eco.listing("acme-tool"), None, f"If-None-Match: {headers['etag']}")

    answers = [await connection.ask(conditional) for _ in range(4)]

    assert {status for status, _, _ in answers} == {304}
    assert {body for _, _, body in answers} == {b""}
    assert hits(gateway) >= 2


@ECOSYSTEMS
async def test_a_publish_and_a_revoked_token_are_seen_by_the_next_request(
    start_gateway: StartGateway, connect: Connect, eco: Ecosystem
) -> None:
    gateway = await start_gateway({eco.type: {"acme/tools": private("hosted")}})
    writer, reader = await gateway.token("ada"), await gateway.token("bob", (Scope.READ,))
    await eco.publish(gateway, "acme-tool", "1.0.0", writer)
    connection = await connect(gateway)
    data = request(eco.listing("acme-tool"), reader, f"Accept: {eco.accept}")
    for _ in range(3):
        assert eco.versions((await connection.ask(data))[2]) == {"1.0.0"}

    await eco.publish(gateway, "acme-tool", "2.0.0", writer)
    assert eco.versions((await connection.ask(data))[2]) == {"1.0.0", "2.0.0"}
    assert (await connection.ask(data))[0] == 200
    for token in await gateway.services.identities.tokens(await gateway.user("bob")):
        await gateway.services.identities.delete_token(token.id)

    assert (await connection.ask(data))[0] == 401


async def test_a_part_of_a_request_before_known_bytes_is_not_forgotten(
    start_gateway: StartGateway, connect: Connect
) -> None:
    """Request smuggling: the known bytes are the value of a header, or a body, and no request."""
    gateway, _ = await begin(start_gateway, PYPI)
    known = request(PYPI.listing("acme-tool"))
    warm = await connect(gateway)
    for _ in range(3):
        await warm.ask(known)
    before = hits(gateway)

    connection = await connect(gateway)
    await connection.send(b"GET /pypi/acme/tools/simple/nobody/ HTTP/1.1\r\nHost: a\r\nX-Part: ")
    await asyncio.sleep(0.05)
    status, _, _ = await connection.ask(known)
    assert status in {400, 404}
    posting = await connect(gateway)
    await posting.send(
        b"GET /pypi/acme/tools/simple/nobody/ HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(known)
    )
    await posting.send(known)
    status, _, _ = await posting.answer()
    assert status == 404
    with pytest.raises((TimeoutError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(posting.reader.readexactly(1), 0.5)

    assert hits(gateway) == before


async def test_requests_sent_at_once_are_answered_in_order(start_gateway: StartGateway, connect: Connect) -> None:
    gateway, _ = await begin(start_gateway, PYPI)
    known, other = request(PYPI.listing("acme-tool")), request(PYPI.listing("nobody"))
    connection = await connect(gateway)
    for _ in range(3):
        await connection.ask(known)

    await connection.send(other + known + other)
    await connection.send(known)

    assert [(await connection.answer())[0] for _ in range(4)] == [404, 200, 404, 200]


@pytest.mark.parametrize("more", [("Connection: close",), ("X-Request-Id: mine-12345678",)], ids=str)
async def test_what_differs_every_time_goes_the_whole_way(
    start_gateway: StartGateway, connect: Connect, more: tuple[str, ...]
) -> None:
    gateway, _ = await begin(start_gateway, PYPI)
    data = request(PYPI.listing("acme-tool"), None, *more)

    for _ in range(3):
        connection = await connect(gateway)
        assert (await connection.ask(data))[0] == 200

    assert hits(gateway) == 0


async def test_an_old_protocol_version_goes_the_whole_way(start_gateway: StartGateway, connect: Connect) -> None:
    gateway, _ = await begin(start_gateway, PYPI)
    data = request(PYPI.listing("acme-tool"), None, version="1.0")

    for _ in range(3):
        connection = await connect(gateway)
        assert (await connection.ask(data))[0] == 200

    assert hits(gateway) == 0


async def test_it_can_be_turned_off(start_gateway: StartGateway, connect: Connect) -> None:
    gateway, _ = await begin(start_gateway, PYPI, is_fast=False)
    connection = await connect(gateway)

    for _ in range(4):
        assert (await connection.ask(request(PYPI.listing("acme-tool"))))[0] == 200

    assert hits(gateway) == 0


async def test_a_token_for_one_network_is_not_answered_for_another(
    start_gateway: StartGateway, connect: Connect
) -> None:
    gateway = await start_gateway(
        {"pypi": {"acme/tools": private("hosted")}}, server=ServerConfig(trusted_proxies=("127.0.0.1/32",))
    )
    writer = await gateway.token("ada")
    limited = await gateway.token("bob", (Scope.READ,), cidrs=("203.0.113.0/24",))
    await PYPI.publish(gateway, "acme-tool", "1.0.0", writer)
    connection = await connect(gateway)
    inside = request(PYPI.listing("acme-tool"), limited, "X-Forwarded-For: 203.0.113.7")
    outside = request(PYPI.listing("acme-tool"), limited, "X-Forwarded-For: 198.51.100.7")

    for _ in range(3):
        assert (await connection.ask(inside))[0] == 200
        assert (await connection.ask(outside))[0] == 401


@ECOSYSTEMS
async def test_a_file_that_was_purged_is_looked_for_again(
    start_gateway: StartGateway, connect: Connect, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        (artifact,) = eco.serve(fake, "acme-tool", {"1.0.0": eco.recipe()})
        gateway = await start_gateway({eco.type: {"acme/tools": public("fake")}}, {"fake": fake.config(eco.type)})
        connection = await connect(gateway)
        file = request(eco.file("acme-tool", artifact))
        await gateway.get(eco.file("acme-tool", artifact))
        for _ in range(3):
            assert (await connection.ask(file))[2] == artifact.body
        assert hits(gateway) == 2

        (repository,) = gateway.services.repositories.all()
        await gateway.services.blob_rows.purge_cached(repository.id)

        assert (await connection.ask(file))[2] == artifact.body
        assert hits(gateway) == 2
