"""Redirects, and where credentials go."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.config import Config
from gateway.errors import UpstreamTrouble
from gateway.format import Ask
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import Upstream, build_upstreams
from tests.fakes import faults, tls
from tests.fakes.upstream import FaultyUpstream

Build = Callable[..., Upstream]
PAGE = Ask("acme/")
LIMIT = 1_000_000


@pytest.fixture
async def encrypted() -> AsyncIterator[FaultyUpstream]:
    async with FaultyUpstream(tls=tls.server_context()) as fake:
        fake.serve("/simple/acme/", b"the page over tls")
        yield fake


@pytest.fixture
async def trusting() -> AsyncIterator[UpstreamClient]:
    async with UpstreamClient(environ={}, ssl_context=tls.client_context()) as client:
        yield client


async def test_a_redirect_below_the_same_host_is_followed_with_credentials(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.redirect("/simple/acme/", 301), "/simple/Acme/")

    reply = await client.document(upstream(token="secret"), Ask("Acme/"), None, LIMIT)

    assert reply.document is not None
    assert reply.document.url == f"{fake.url}simple/acme/"
    assert [seen.headers["authorization"] for seen in fake.seen] == ["Bearer secret"] * 2


@pytest.mark.parametrize("keys", [{"token": "secret"}, {"username": "me", "password": "secret"}])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_credentials_do_not_follow_a_redirect_off_the_origin(
    client: UpstreamClient,
    fake: FaultyUpstream,
    elsewhere: FaultyUpstream,
    upstream: Build,
    keys: dict[str, str],
    status: int,
) -> None:
    fake.fault(faults.redirect(f"{elsewhere.url}simple/acme/?signature=abc", status))
    asked = upstream(hosts=(elsewhere.authority,), **keys)

    reply = await client.document(asked, PAGE, None, LIMIT)

    assert reply.document is not None
    assert reply.document.body == b"the page elsewhere"
    assert reply.document.url == f"{elsewhere.url}simple/acme/"
    assert fake.got_credentials
    assert elsewhere.count() == 1
    assert not elsewhere.got_credentials


async def test_credentials_do_not_go_to_a_file_host(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    asked = upstream(hosts=(elsewhere.authority,), token="secret")

    async with client.stream(asked, f"{elsewhere.url}files/acme.whl") as stream:
        assert [chunk async for chunk in stream.chunks] == [b"a file elsewhere"]

    assert elsewhere.count() == 1
    assert not elsewhere.got_credentials


async def test_a_redirect_to_a_foreign_host_is_not_followed(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.redirect(f"{elsewhere.url}simple/acme/"))

    with pytest.raises(UpstreamTrouble, match="leads elsewhere"):
        await client.document(upstream(token="secret"), PAGE, None, LIMIT)
    with pytest.raises(UpstreamTrouble, match="leads elsewhere"):
        async with client.stream(upstream(token="secret"), f"{fake.url}files/acme.whl"):
            pass

    assert elsewhere.count() == 0


async def test_a_second_redirect_is_judged_like_the_first(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    async with FaultyUpstream() as third:
        fake.fault(faults.redirect(f"{elsewhere.url}simple/acme/"))
        elsewhere.fault(faults.redirect(f"{third.url}simple/acme/"))

        with pytest.raises(UpstreamTrouble, match="leads elsewhere"):
            await client.document(upstream(hosts=(elsewhere.authority,)), PAGE, None, LIMIT)

        assert third.count() == 0


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/", "http://localhost/", "file:///etc/passwd", "http://a:b@127.0.0.1/", ""]
)
async def test_a_redirect_into_our_own_network_is_not_followed(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, location: str
) -> None:
    fake.fault(faults.redirect(location))

    with pytest.raises(UpstreamTrouble):
        await client.document(upstream(), PAGE, None, LIMIT)

    assert fake.count() == 1


async def test_a_redirect_in_circles_ends(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.fault(faults.redirect("/simple/acme/"))

    with pytest.raises(UpstreamTrouble, match="circles"):
        await client.document(upstream(), PAGE, None, LIMIT)

    assert fake.count() == 6


async def test_a_range_survives_a_redirect(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.redirect(f"{elsewhere.url}files/acme.whl"), "/files/acme.whl")

    async with client.stream(upstream(hosts=(elsewhere.authority,)), f"{fake.url}files/acme.whl", 2) as stream:
        assert stream.offset == 2
        assert [chunk async for chunk in stream.chunks] == [b"file elsewhere"]


@pytest.mark.parametrize(("status", "methods"), [(307, ["POST", "POST"]), (308, ["POST", "POST"])])
async def test_a_post_follows_only_redirects_that_keep_it(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int, methods: list[str]
) -> None:
    fake.fault(faults.redirect("/simple/acme/", status), "/simple/audit")

    await client.post(upstream(), "audit", b"{}", "application/json", LIMIT)

    assert [seen.method for seen in fake.seen] == methods


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_does_not_become_another_question(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int
) -> None:
    fake.fault(faults.redirect("/simple/acme/", status), "/simple/audit")

    with pytest.raises(UpstreamTrouble, match="redirects a POST"):
        await client.post(upstream(), "audit", b"{}", "application/json", LIMIT)

    assert fake.count() == 1


async def test_a_redirect_from_https_to_http_is_not_followed(
    trusting: UpstreamClient, encrypted: FaultyUpstream, elsewhere: FaultyUpstream
) -> None:
    encrypted.fault(faults.redirect(f"{elsewhere.url}simple/acme/"))
    entry = encrypted.config("pypi", hosts=(elsewhere.authority,), token="secret")
    asked = build_upstreams(Config(upstreams={"encrypted": entry}))["encrypted"]

    with pytest.raises(UpstreamTrouble, match="from https to http"):
        await trusting.document(asked, PAGE, None, LIMIT)

    assert encrypted.count() == 1
    assert elsewhere.count() == 0


async def test_a_trusted_certificate_is_taken(trusting: UpstreamClient, encrypted: FaultyUpstream) -> None:
    asked = build_upstreams(Config(upstreams={"encrypted": encrypted.config()}))["encrypted"]

    reply = await trusting.document(asked, PAGE, None, LIMIT)

    assert reply.document is not None
    assert reply.document.body == b"the page over tls"


ASK_ONCE = """
import asyncio, sys
from gateway.config import Config, UpstreamConfig
from gateway.format import Ask
from gateway.upstream.client import UpstreamClient
from gateway.upstream.registry import build_upstreams

async def main():
    entry = UpstreamConfig(type="pypi", url=sys.argv[1], retries=0)
    async with UpstreamClient(environ={}) as client:
        reply = await client.document(build_upstreams(Config(upstreams={"a": entry}))["a"], Ask("acme/"), None, 1000)
        print(reply.document.body.decode())

asyncio.run(main())
"""


async def test_the_environment_may_name_more_authorities(encrypted: FaultyUpstream) -> None:
    environ = {**os.environ, "SSL_CERT_FILE": str(tls.CERTIFICATE)}

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK_ONCE, encrypted.pypi_url, env=environ, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert said == b"the page over tls\n"


async def test_an_unknown_certificate_is_refused_before_anything_is_sent(
    client: UpstreamClient, encrypted: FaultyUpstream
) -> None:
    entry = encrypted.config("pypi", token="secret")
    asked = build_upstreams(Config(upstreams={"encrypted": entry}))["encrypted"]

    with pytest.raises(UpstreamTrouble, match="certificate that we do not trust"):
        await client.document(asked, PAGE, None, LIMIT)

    assert encrypted.count() == 0
