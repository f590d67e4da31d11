"""Pushing, keys and owners, as gem sends them."""

import json

import aiohttp
import pytest

from adapters.rubygems.wire import RubyGemsFormat
from gateway.errors import Blocked
from gateway.model import ActorKind, Scope
from tests.conftest import Gateway, StartGateway, private, public
from tests.fakes.faults import answer
from tests.fakes.gems import gem, gemspec_yaml, tar_of
from tests.fakes.upstream import FaultyUpstream
from tests.rubygems.asking import BASE, get, info, lines, push, push_bytes, yank


@pytest.fixture
async def hosted(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({"rubygems": {"acme/tools": public("hosted")}})


async def test_a_key_is_taken_in_every_form_that_clients_send(hosted: Gateway) -> None:
    token = await hosted.token()
    carriers = [
        token,
        f"Bearer {token}",
        aiohttp.encode_basic_auth("anybody", token),
        aiohttp.encode_basic_auth(token, ""),
        f"{aiohttp.encode_basic_auth('user', 'x')}, {token}",
    ]
    for number, carrier in enumerate(carriers):
        pushed, _ = await push(hosted, carrier, "tool", f"1.{number}")
        assert pushed.status == 200, carrier.split()[0]


async def test_a_host_that_was_typed_with_a_slash_at_its_end_is_the_same_host(hosted: Gateway) -> None:
    token = await hosted.token()

    pushed, _ = await push(hosted, token, "tool", "1.0", base=BASE + "/")
    others = [await get(hosted, path, token) for path in ("/info/tool", "//api/v1/gems/tool.json", "/versions")]

    assert pushed.status == 200
    assert [reply.status for reply in others] == [400, 400, 400]


async def test_who_may_not_push_is_told_so_without_an_order_to_the_client(hosted: Gateway) -> None:
    reader = await hosted.token("eve", (Scope.READ,))

    refused, _ = await push(hosted, reader, "tool", "1.0")
    nobody, _ = await push(hosted, None, "tool", "1.0")
    wrong, _ = await push(hosted, "ent_wrong", "tool", "1.0")

    assert (refused.status, nobody.status, wrong.status) == (403, 401, 401)
    for reply in (refused, nobody, wrong):
        text = reply.body.decode().lower()
        assert not text.startswith(("you have enabled multifactor", "the api key doesn't have access"))
        assert reply.headers["Content-Type"].startswith("text/plain")
    assert await lines(hosted) == []


@pytest.mark.parametrize(
    "words", ["You have enabled multifactor authentication", "the API key doesn't have access to this"]
)
def test_words_of_a_stranger_are_no_order_to_the_client(words: str) -> None:
    """An upstream's, for one: gem would ask for a password, and send it."""
    refused = RubyGemsFormat().render_error(Blocked(words), "")

    assert refused.body == f"Refused: {words[0].upper()}{words[1:]}.\n".encode()


async def test_a_gem_that_cannot_be_read_is_422_and_leaves_nothing(hosted: Gateway) -> None:
    token = await hosted.token()
    about = gemspec_yaml("tool", "1.0", "ruby", {}, {}, ">= 0", ">= 0", "for tests")
    wrong = f"---\nSHA256:\n  metadata.gz: {'0' * 64}\n  data.tar.gz: {'0' * 64}\n".encode()
    bodies = [
        b"",
        b"not a gem",
        tar_of({"metadata.gz": b"x"}),
        gem(extra={"evil": b"x"}).build("tool", "1.0").body,
        gem(metadata=b"--- !ruby/object:Kernel {}\n").build("tool", "1.0").body,
        gem(metadata=about.replace(b": tool", b": &a tool").replace(b"for tests", b"*a")).build("tool", "1.0").body,
        gem(metadata=about + b"#" * 11 * 1024 * 1024).build("tool", "1.0").body,
        gem(checksums=b"---\nSHA256: {}\n").build("tool", "1.0").body,
        gem(checksums=wrong).build("tool", "1.0").body,
        gem().build("bad name", "1.0").body,
        gem().build("tool", "1.0-beta").body,
        gem(platform="a b").build("tool", "1.0").body,
    ]
    for body in bodies:
        refused = await push_bytes(hosted, token, body)
        assert refused.status == 422, refused.body
        assert refused.body.count(b"\n") == 1
    assert await lines(hosted) == []
    assert [*hosted.services.hosted.walk()] == []


async def test_attestations_come_in_a_form_and_are_given_out_again(hosted: Gateway) -> None:
    token, built = await hosted.token(), gem().build("tool", "1.0")
    bundle = json.dumps([{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "x": 1}]).encode()

    async def send(attestations: bytes) -> int:
        form = aiohttp.FormData()
        form.add_field("gem", built.body, filename="pkg/tool-1.0.gem", content_type="application/octet-stream")
        form.add_field("attestations", attestations.decode(), content_type="application/json")
        return (await hosted.request("POST", f"{BASE}api/v1/gems", token, data=form)).status

    assert await send(b"{}") == 422
    assert await send(b"[1]") == 422
    assert await send(b"nonsense") == 422
    assert await send(bundle) == 200
    assert (await get(hosted, "api/v1/attestations/tool-1.0.json")).body == bundle
    assert (await get(hosted, "gems/tool-1.0.gem")).body == built.body
    assert (await get(hosted, "api/v1/attestations/tool-1.1.json")).status == 404


async def test_yanking_needs_the_right_to_delete(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    token = await gateway.token()
    await push(gateway, token, "tool", "1.0")
    writer = await gateway.token("ada", (Scope.READ, Scope.WRITE))

    refused = await yank(gateway, writer, "tool", "1.0")

    assert refused.status == 403
    assert len(await info(gateway, "tool", token)) == 1


async def test_a_name_served_from_an_upstream_is_not_published_over(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )
        assert (await get(gateway, "gems/rack-1.0.gem")).status == 200

        for name in ("rack", "Rack"):
            refused, _ = await push(gateway, await gateway.token(), name, "9.0")
            assert refused.status == 403
            assert b"claim" in refused.body


async def test_a_refusal_by_an_upstream_is_in_the_reason_that_bundler_prints(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem()})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )
        fake.fault(answer(403), "/gem/gems/rack-1.0.gem")

        refused = await get(gateway, "gems/rack-1.0.gem")

        assert refused.status == 403
        assert "refuses it" in refused.reason


async def test_signing_in_gives_a_key_for_this_repository_only(hosted: Gateway) -> None:
    token = await hosted.token()
    basic = aiohttp.encode_basic_auth("ada", token)
    form = b"name=laptop&index_rubygems=true&push_rubygem=true"
    kind = "application/x-www-form-urlencoded"

    reply = await hosted.request("POST", f"{BASE}api/v1/api_key", data=form, Authorization=basic, Content_Type=kind)
    key = reply.body.decode()

    assert reply.status == 200
    assert reply.headers["Cache-Control"] == "no-store"
    assert (await push(hosted, key, "tool", "1.0"))[0].status == 200
    assert (await yank(hosted, key, "tool", "1.0")).status == 403
    rows = {row.name: row for row in await hosted.services.identities.tokens()}
    assert rows["laptop"].repositories == ("rubygems/acme/tools",)
    assert rows["laptop"].scopes == {Scope.READ, Scope.WRITE}
    assert (await hosted.request("POST", f"{BASE}api/v1/api_key", data=form, Content_Type=kind)).status == 401
    assert (await get(hosted, "api/v1/api_key")).status == 410
    assert (await hosted.request("PUT", f"{BASE}api/v1/api_key", token)).status == 403


async def test_a_key_is_never_wider_than_what_it_was_asked_for_with(hosted: Gateway) -> None:
    narrow = await hosted.token("eve", (Scope.READ,))

    reply = await hosted.request(
        "POST",
        f"{BASE}api/v1/api_key",
        narrow,
        data=b"name=x&push_rubygem=true",
        Content_Type="application/x-www-form-urlencoded",
    )

    assert reply.status == 403


async def test_owners_are_grants_on_the_gem(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    token = await gateway.token(scopes=(Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN))
    await push(gateway, token, "tool", "1.0")
    await push(gateway, token, "other", "1.0")
    eve = await gateway.token("eve", (Scope.READ, Scope.WRITE), is_admin=False)
    assert (await push(gateway, eve, "tool", "1.1"))[0].status == 403

    added = await gateway.request("POST", f"{BASE}api/v1/gems/tool/owners", token, data={"email": "eve"})
    listed = await get(gateway, "api/v1/gems/tool/owners.yaml", token)
    pushed, _ = await push(gateway, eve, "tool", "1.1")
    elsewhere, _ = await push(gateway, eve, "other", "1.1")
    removed = await gateway.request("DELETE", f"{BASE}api/v1/gems/tool/owners", token, data={"email": "eve"})

    assert (added.status, removed.status) == (200, 200)
    assert b'- handle: "eve"\n' in listed.body
    assert (pushed.status, elsewhere.status) == (200, 403)
    assert (await push(gateway, eve, "tool", "1.2"))[0].status == 403
    assert await (await get(gateway, "api/v1/gems/tool/owners.json", token)).json() == []
    nobody = await gateway.request("POST", f"{BASE}api/v1/gems/tool/owners", token, data={"email": "mallory"})
    assert nobody.status == 404


async def test_an_owner_is_found_by_exactly_the_address_that_we_have(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    token = await gateway.token(scopes=(Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN))
    await push(gateway, token, "tool", "1.0")
    for name, email in (("eve", "eve@example.com"), ("bob", "mallory@evil.example"), ("x", "two@x"), ("y", "two@x")):
        await gateway.services.identities.create_actor(ActorKind.USER, name, email=email)

    async def add(email: str) -> int:
        path = f"{BASE}api/v1/gems/tool/owners"
        return (await gateway.request("POST", path, token, data={"email": email})).status

    for email in ("bob@example.com", "eve@evil.example", "EVE@example.com", "eve@", "@", "mallory", "%@x", "two@x"):
        assert await add(email) == 404, email
    assert await (await get(gateway, "api/v1/gems/tool/owners.json", token)).json() == []
    assert await add("mallory@evil.example") == 200
    assert [one["handle"] for one in await (await get(gateway, "api/v1/gems/tool/owners.json", token)).json()] == [
        "bob"
    ]


async def test_the_role_of_an_owner_is_changed(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"rubygems": {"acme/tools": private("hosted")}})
    token = await gateway.token(scopes=(Scope.READ, Scope.WRITE, Scope.DELETE, Scope.ADMIN))
    await push(gateway, token, "tool", "1.0")
    await gateway.token("eve", (Scope.READ, Scope.WRITE), is_admin=False)
    path = f"{BASE}api/v1/gems/tool/owners"

    async def ask(method: str, **form: str) -> int:
        return (await gateway.request(method, path, token, data=form)).status

    async def roles() -> list[str]:
        return [one["role"] for one in await (await get(gateway, "api/v1/gems/tool/owners.json", token)).json()]

    assert await ask("PATCH", email="eve", role="owner") == 404
    assert await ask("POST", email="eve", role="maintainer") == 200
    assert await roles() == ["write"]
    assert await ask("PATCH", email="eve", role="owner") == 200
    assert await ask("PATCH", email="eve", role="owner") == 200
    assert await roles() == ["admin"]
    assert await ask("PATCH", email="eve", role="maintainer") == 200
    assert await roles() == ["write"]
    assert (await ask("PATCH", email="eve", role="god"), await ask("PATCH", email="eve")) == (422, 422)
    eve = await gateway.token("eve", (Scope.READ, Scope.WRITE, Scope.ADMIN), is_admin=False)
    assert (await gateway.request("PATCH", path, eve, data={"email": "eve", "role": "owner"})).status == 404
    assert (await gateway.request("POST", path, eve, data={"email": "eve", "role": "owner"})).status == 403
    assert await roles() == ["write"]


async def test_a_gem_is_not_called_like_another_gems_file(hosted: Gateway) -> None:
    token = await hosted.token()
    await push(hosted, token, "a-1", "2")
    await push(hosted, token, "b", "1", gem(platform="2"))

    one, _ = await push(hosted, token, "a", "1", gem(platform="2"))
    other, _ = await push(hosted, token, "b-1", "2")
    shouted, _ = await push(hosted, token, "B-1", "2")
    await yank(hosted, token, "b", "1", "2")
    after, _ = await push(hosted, token, "b-1", "2")
    fine, _ = await push(hosted, token, "a", "1")

    assert (one.status, other.status, shouted.status, after.status, fine.status) == (409, 409, 409, 409, 200)
    assert [line.split()[0] for line in await info(hosted, "a")] == ["1"]


async def test_json_views_say_what_the_index_says(hosted: Gateway) -> None:
    token = await hosted.token()
    _, old = await push(hosted, token, "tool", "1.0", gem(dependencies={"rack": ">= 1, < 3"}, required_ruby=">= 3.0"))
    await push(hosted, token, "tool", "2.0.pre")
    await push(hosted, token, "tool", "1.0", gem(platform="java"))

    versions = await (await get(hosted, "api/v1/versions/tool.json")).json()
    latest = await (await get(hosted, "api/v1/gems/tool.json")).json()
    one = await (await get(hosted, "api/v2/rubygems/tool/versions/1.0.json?platform=java")).json()
    found = await (await get(hosted, "api/v1/search.json?query=to")).json()

    assert [(v["number"], v["platform"], v["prerelease"]) for v in versions] == [
        ("2.0.pre", "ruby", True),
        ("1.0", "ruby", False),
        ("1.0", "java", False),
    ]
    assert versions[1]["sha"] == latest["sha"] == old.sha256
    assert versions[1]["ruby_version"] == ">= 3.0"
    assert versions[1]["created_at"] in (await info(hosted, "tool"))[0]
    assert (latest["name"], latest["version"], one["platform"]) == ("tool", "1.0", "java")
    assert latest["dependencies"]["runtime"] == [{"name": "rack", "requirements": ">= 1, < 3"}]
    assert latest["gem_uri"] == f"{hosted.url}{BASE}gems/tool-1.0.gem"
    assert [hit["name"] for hit in found] == ["tool"]
    await yank(hosted, token, "tool", "1.0")
    assert len(await (await get(hosted, "api/v1/versions/tool.json")).json()) == 2
    assert (await get(hosted, "api/v2/rubygems/tool/versions/1.0.json")).status == 404


async def test_proxied_json_views_keep_the_upstreams_dates(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.rubygems("rack", {"1.0": gem(uploaded_at="2020-02-03T04:05:06Z", dependencies={"a": "~> 1.0"})})
        gateway = await start_gateway({"rubygems": {"acme/tools": public("fake")}}, {"fake": fake.config("rubygems")})

        (version,) = await (await get(gateway, "api/v1/versions/rack.json")).json()
        latest = await (await get(gateway, "api/v1/gems/rack.json")).json()

        assert version["created_at"] == "2020-02-03T04:05:06Z"
        assert latest["dependencies"]["runtime"] == [{"name": "a", "requirements": "~> 1.0"}]
