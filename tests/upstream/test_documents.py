"""Documents from an upstream: every answer it may give, and every way in which a body may be wrong."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import Blocked, PathInvalid, UpstreamCorrupt, UpstreamTrouble
from gateway.format import Ask
from gateway.freshness import Validators
from gateway.upstream.client import Status, UpstreamClient
from gateway.upstream.registry import Upstream
from tests.fakes import faults
from tests.fakes.faults import Fault
from tests.fakes.upstream import FaultyUpstream

Build = Callable[..., Upstream]
PAGE = Ask("acme/", "text/html")
LIMIT = 1_000_000


async def test_a_document_comes_with_what_revalidates_it(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.serve("/simple/acme/", b"the page", "text/html", {"Cache-Control": "max-age=600", "X-Serial": "7"})

    reply = await client.document(upstream(), PAGE, None, LIMIT)

    assert reply.status is Status.OK
    assert reply.document is not None
    assert (reply.document.body, reply.document.content_type) == (b"the page", "text/html")
    assert reply.document.url == f"{fake.url}simple/acme/"
    assert reply.document.headers["x-serial"] == "7"
    assert reply.etag is not None
    assert reply.max_age == 600.0


async def test_we_say_who_we_are_and_what_we_take(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    await client.document(upstream(), PAGE, None, LIMIT)

    headers = fake.seen[0].headers
    assert headers["user-agent"].startswith("entrepot/")
    assert (headers["accept"], headers["accept-encoding"]) == ("text/html", "gzip, deflate")
    assert "authorization" not in headers
    assert "cookie" not in headers


async def test_what_has_not_changed_is_not_sent_again(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.cache_control = "max-age=300"
    first = await client.document(upstream(), PAGE, None, LIMIT)

    again = await client.document(upstream(), PAGE, Validators(first.etag, None, 0.0, 0.0), LIMIT)

    assert again.status is Status.NOT_MODIFIED
    assert again.document is None
    assert again.max_age == 300.0
    assert fake.seen[1].headers["if-none-match"] == first.etag


async def test_not_modified_without_validators_is_trouble(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.answer(304))

    with pytest.raises(UpstreamTrouble, match="answered 304"):
        await client.document(upstream(), PAGE, None, LIMIT)


@pytest.mark.parametrize("status", [404, 410])
async def test_absent_is_what_the_upstream_says_is_absent(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int
) -> None:
    fake.fault(faults.answer(status))

    assert (await client.document(upstream(), PAGE, None, LIMIT)).status is Status.ABSENT


@pytest.mark.parametrize("status", [400, 402, 405, 406, 407, 408, 409, 429, 500, 502, 503, 504, 599, 204, 206, 300])
async def test_trouble_is_never_absent(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int
) -> None:
    fake.fault(faults.answer(status))

    with pytest.raises(UpstreamTrouble, match=str(status)):
        await client.document(upstream(), PAGE, None, LIMIT)


@pytest.mark.parametrize("status", [403, 451])
async def test_a_refusal_is_blocked_with_the_upstreams_words(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, status: int
) -> None:
    fake.fault(faults.answer(status))

    with pytest.raises(Blocked, match=rf"fake refuses it: {status} \w+"):
        await client.document(upstream(), PAGE, None, LIMIT)


async def test_a_refusal_is_absent_where_the_upstream_is_known_to_mean_that(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.answer(403))

    reply = await client.document(upstream(absent_on_403=True), PAGE, None, LIMIT)

    assert reply.status is Status.ABSENT


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.down(), "hung up"),
        (faults.slow(first_byte=60.0), "timed out"),
        (faults.truncate(), "broke off"),
        (faults.wrong_length(1), "broke off"),
        (faults.wrong_length(-1), "no HTTP"),
        (faults.huge_headers(), "beyond our bounds"),
        (faults.huge_header(), "beyond our bounds"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_a_broken_answer_is_trouble(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, fault: Fault, message: str
) -> None:
    fake.fault(fault)

    with pytest.raises(UpstreamTrouble, match=message):
        await client.document(upstream(read_timeout=0.1), PAGE, None, LIMIT)


async def test_a_refused_connection_is_trouble(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    asked = upstream()
    await fake.stop()

    with pytest.raises(UpstreamTrouble, match="cannot be reached"):
        await client.document(asked, PAGE, None, LIMIT)


async def test_a_trickle_ends_with_the_document_deadline(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.endless(rate=200))

    with pytest.raises(UpstreamTrouble, match="too slow"):
        await client.document(upstream(read_timeout=0.1, connect_timeout=0.1), PAGE, None, LIMIT)


@pytest.mark.parametrize("fault", [faults.endless(), faults.bomb(1 << 28)], ids=["endless", "bomb"])
async def test_a_body_without_end_is_refused_at_the_limit(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, fault: Fault
) -> None:
    fake.fault(fault)

    with pytest.raises(UpstreamCorrupt, match="larger than 1000000 bytes"):
        await client.document(upstream(), PAGE, None, LIMIT)

    assert client.health()[0].bytes < 4 * LIMIT


async def test_a_length_beyond_the_limit_is_refused_unread(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.serve("/simple/acme/", bytes(LIMIT + 1))

    with pytest.raises(UpstreamCorrupt, match="1000001 bytes, more than 1000000"):
        await client.document(upstream(), PAGE, None, LIMIT)

    assert client.health()[0].bytes == 0


async def test_a_document_of_exactly_the_limit_is_taken(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.gzip = True
    fake.serve("/simple/acme/", bytes(LIMIT))

    reply = await client.document(upstream(), PAGE, None, LIMIT)

    assert reply.document is not None
    assert len(reply.document.body) == LIMIT


async def test_a_compressed_document_is_kept_plain(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.gzip = True

    reply = await client.document(upstream(), PAGE, None, LIMIT)

    assert reply.document is not None
    assert reply.document.body == b"the page"
    assert "content-encoding" not in reply.document.headers
    assert "content-length" not in reply.document.headers


async def test_an_unknown_encoding_is_refused(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    fake.serve("/simple/acme/", b"the page", headers={"Content-Encoding": "br"})

    with pytest.raises(UpstreamCorrupt, match="unknown content encoding 'br'"):
        await client.document(upstream(), PAGE, None, LIMIT)


async def test_a_connection_lives_on_after_every_ordinary_answer(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    etag = (await client.document(upstream(), PAGE, None, LIMIT)).etag
    await client.document(upstream(), Ask("missing/"), None, LIMIT)
    await client.document(upstream(), PAGE, Validators(etag, None, 0, 0), LIMIT)
    await client.document(upstream(), PAGE, None, LIMIT)

    assert fake.connections == 1


@pytest.mark.parametrize("path", ["../x", "a/../../x", "./x", "%2e%2e/x", "a%2f..%2fx", "/x", "//evil.test/", "a#b"])
async def test_a_path_cannot_leave_the_base_address(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build, path: str
) -> None:
    with pytest.raises(PathInvalid):
        await client.document(upstream(), Ask(path), None, LIMIT)

    assert fake.count() == 0


async def test_a_path_is_sent_as_it_is_written(client: UpstreamClient, fake: FaultyUpstream, upstream: Build) -> None:
    await client.document(upstream(), Ask("@acme%2ftool?q=a%20b"), None, LIMIT)

    assert fake.seen[0].path == "/simple/@acme%2ftool?q=a%20b"


async def test_an_absolute_address_is_asked_on_the_upstreams_own_hosts_only(
    client: UpstreamClient, fake: FaultyUpstream, elsewhere: FaultyUpstream, upstream: Build
) -> None:
    with pytest.raises(UpstreamTrouble, match="leads elsewhere"):
        await client.document(upstream(), Ask(f"{elsewhere.url}simple/acme/"), None, LIMIT)
    assert elsewhere.count() == 0

    allowed = upstream(hosts=(elsewhere.authority,))
    reply = await client.document(allowed, Ask(f"{elsewhere.url}simple/acme/"), None, LIMIT)

    assert reply.document is not None
    assert reply.document.body == b"the page elsewhere"


async def test_a_post_carries_its_body_and_is_sent_once(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.answer(500, times=1), "/simple/audit")
    fake.serve("/simple/audit", b"{}", "application/json")

    with pytest.raises(UpstreamTrouble, match="answered 500"):
        await client.post(upstream(retries=3), "audit", b'{"a": []}', "application/json", LIMIT)
    reply = await client.post(upstream(retries=3), "audit", b'{"a": []}', "application/json", LIMIT)

    assert reply.document is not None
    assert reply.document.body == b"{}"
    assert [(seen.method, seen.body, seen.headers["content-type"]) for seen in fake.seen] == [
        ("POST", b'{"a": []}', "application/json")
    ] * 2


async def test_a_caller_who_leaves_leaves_nothing_behind(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.slow(first_byte=60.0))
    asking = asyncio.ensure_future(client.document(upstream(), PAGE, None, LIMIT))
    await fake.wait_for(1)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    fake.heal()
    assert (await client.document(upstream(), PAGE, None, LIMIT)).status is Status.OK
    assert client.health()[0].failures == 0


async def test_bad_credentials_of_ours_are_trouble_rather_than_a_refusal(
    client: UpstreamClient, fake: FaultyUpstream, upstream: Build
) -> None:
    fake.fault(faults.answer(401))

    with pytest.raises(UpstreamTrouble, match="does not accept our credentials"):
        await client.document(upstream(), PAGE, None, LIMIT)
