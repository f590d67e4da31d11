"""The proxies of the environment."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from yarl import URL

from gateway.config import Config
from gateway.errors import UpstreamTrouble
from gateway.format import Ask
from gateway.upstream.client import UpstreamClient
from gateway.upstream.proxies import Proxies
from gateway.upstream.registry import Upstream, build_upstreams
from tests.fakes import tls
from tests.fakes.proxy import ForwardProxy
from tests.fakes.upstream import FaultyUpstream

Build = Callable[..., Upstream]
PAGE = Ask("acme/")


@pytest.fixture
async def proxy() -> AsyncIterator[ForwardProxy]:
    async with ForwardProxy() as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("environ", "url", "found"),
    [
        ({}, "https://a.test/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.test/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.test/", None),
        ({"HTTP_PROXY": "p:1"}, "http://a.test/", "http://p:1"),
        ({"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1"}, "https://a.test/", "http://lower:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.test"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "NO_PROXY": "test"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "b.test, .a.test"}, "https://x.a.test/", None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "a.test:8443"}, "https://a.test/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "a.test:443"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, "https://a.test/", None),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "nota.test"}, "https://a.test/", "http://p:1"),
    ],
)
def test_the_proxy_for_an_address(environ: dict[str, str], url: str, found: str | None) -> None:
    assert Proxies(environ).find(URL(url)) == (None if found is None else URL(found))


async def test_a_request_goes_through_the_proxy(fake: FaultyUpstream, upstream: Build, proxy: ForwardProxy) -> None:
    environ = {"http_proxy": f"http://me:secret@{proxy.authority}"}

    async with UpstreamClient(environ=environ) as client:
        reply = await client.document(upstream(), PAGE, None, 1000)

    assert reply.document is not None
    assert proxy.seen == [f"GET {fake.url}simple/acme/ HTTP/1.1"]
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in proxy.headers[0]


async def test_what_is_encrypted_is_tunnelled(proxy: ForwardProxy) -> None:
    async with FaultyUpstream(tls=tls.server_context()) as encrypted:
        encrypted.serve("/simple/acme/", b"the page")
        entry = encrypted.config("pypi", token="secret")
        asked = build_upstreams(Config(upstreams={"encrypted": entry}))["encrypted"]
        environ = {"https_proxy": f"http://{proxy.authority}"}

        async with UpstreamClient(environ=environ, ssl_context=tls.client_context()) as client:
            reply = await client.document(asked, PAGE, None, 1000)

        assert reply.document is not None
        assert proxy.seen == [f"CONNECT {encrypted.authority} HTTP/1.1"]
        assert "secret" not in proxy.headers[0]
        assert encrypted.got_credentials


async def test_no_proxy_goes_straight(fake: FaultyUpstream, upstream: Build, proxy: ForwardProxy) -> None:
    environ = {"http_proxy": f"http://{proxy.authority}", "no_proxy": "127.0.0.1"}

    async with UpstreamClient(environ=environ) as client:
        await client.document(upstream(), PAGE, None, 1000)

    assert proxy.seen == []
    assert fake.count() == 1


async def test_a_proxy_that_is_gone_is_trouble(upstream: Build) -> None:
    async with ForwardProxy() as proxy:
        environ = {"http_proxy": f"http://{proxy.authority}"}

    async with UpstreamClient(environ=environ) as client:
        with pytest.raises(UpstreamTrouble, match="cannot be reached"):
            await client.document(upstream(), PAGE, None, 1000)


async def test_credentials_of_a_netrc_file_go_nowhere(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    await client.document(upstream(), PAGE, None, 1000)

    assert not fake.got_credentials
