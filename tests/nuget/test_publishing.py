"""Pushing, unlisting and taking back (checklist 3 to 12, 18, 39)."""

import asyncio
import base64
import json

import pytest

from gateway.config import ServerConfig
from gateway.model import Scope
from tests.conftest import StartGateway, key, private, public
from tests.fakes.artifacts import Recipe, zip_of
from tests.fakes.nuget import nuspec, package
from tests.nuget.conftest import Feed
from tests.racing import meet

PACKAGE = "flat/demo.core/1.0.0/demo.core.1.0.0.nupkg"


async def test_what_is_pushed_is_there_at_once(feed: Feed, token: str) -> None:
    reply, built = await feed.publish("Demo.Core", "1.0.0", token)

    assert (reply.status, reply.body) == (201, b"")
    assert await feed.versions("demo.core") == ["1.0.0"]
    assert (await feed.get(PACKAGE)).body == built.body
    assert await feed.found("q=demo") == ["Demo.Core"]


@pytest.mark.parametrize("path", ["package", "package/", "v3/package/"])
async def test_both_forms_of_the_address_take_a_push(feed: Feed, token: str, path: str) -> None:
    assert (await feed.push(package().build("Demo.Core", "1.0.0").body, token, path)).status == 201


async def test_a_plain_body_is_taken_as_well(feed: Feed, token: str) -> None:
    built = package().build("Demo.Core", "1.0.0")

    reply = await feed.send("PUT", "package", token, built.body, Content_Type="application/octet-stream")

    assert reply.status == 201
    assert (await feed.get(PACKAGE)).body == built.body


async def test_a_push_may_come_with_the_credentials_of_the_source_alone(feed: Feed, token: str) -> None:
    basic = "Basic " + base64.b64encode(f"anything:{token}".encode()).decode()

    first = await feed.push(package(size=300_000).build("Demo.Core", "1.0.0").body, None)
    second = await feed.push(package(size=300_000).build("Demo.Core", "1.0.0").body, "az", Authorization=basic)

    assert first.status == 401
    assert first.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert second.status == 201


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1.0.0", "1.0.0.0"),
        ("1.0", "1.0.0"),
        ("1.0.0+b1", "1.0.0+b2"),
        ("1.0.0-rc.1", "1.0.0-RC.1"),
        ("1.0.0", "1.0.0"),
    ],
)
async def test_a_version_is_published_once_in_any_spelling(feed: Feed, token: str, before: str, after: str) -> None:
    assert (await feed.publish("Demo.Core", before, token))[0].status == 201

    reply, _ = await feed.publish("demo.CORE", after, token, package(size=10) if before != after else None)

    assert reply.status == 409
    assert "published before" in reply.reason
    assert reply.headers["X-NuGet-Warning"] == reply.reason
    assert len(await feed.versions("demo.core")) == 1


async def test_the_casing_of_the_first_publish_stays(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("DEMO.CORE", "2.0.0", token)

    assert await feed.found("q=demo") == ["Demo.Core"]


async def test_of_two_pushes_at_once_one_is_created_and_one_told(feed: Feed, token: str) -> None:
    body = package().build("Demo.Core", "1.0.0").body
    other = package(size=100).build("Demo.Core", "1.0.0").body

    same = await asyncio.gather(feed.push(body, token), feed.push(body, token))
    assert sorted(reply.status for reply in same) == [201, 409]
    both = await asyncio.gather(feed.push(body, token), feed.push(other, token))

    assert {reply.status for reply in both} == {409}
    assert await feed.versions("demo.core") == ["1.0.0"]


@pytest.mark.parametrize(
    "spellings",
    [
        (("Demo.Core", "1.0"), ("demo.core", "1.0.0"), ("DEMO.CORE", "1.0.0.0"), ("Demo.core", "1.0.0+build")),
        (("Demo.Core", "2.0.0-RC.1"), ("demo.core", "2.0-rc.1"), ("DEMO.core", "2.0.0.0-Rc.1+a")),
    ],
)
async def test_of_all_spellings_of_a_version_at_once_one_is_published(
    feed: Feed, token: str, monkeypatch: pytest.MonkeyPatch, spellings: tuple[tuple[str, str], ...]
) -> None:
    meet(monkeypatch, len(spellings))

    done = await asyncio.gather(
        *(feed.publish(id_, version, token, package(size=n)) for n, (id_, version) in enumerate(spellings))
    )

    assert sorted(reply.status for reply, _ in done) == [201] + [409] * (len(spellings) - 1)
    assert len(await feed.versions("demo.core")) == 1


async def test_of_first_versions_at_once_the_first_gives_the_casing(
    feed: Feed, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet(monkeypatch, 4)
    ids = ("Demo.Core", "demo.core", "DEMO.CORE", "Demo.core")

    done = await asyncio.gather(*(feed.publish(id_, f"{n}.0.0", token) for n, id_ in enumerate(ids)))

    services, repository = feed.gateway.services, key("nuget/acme/tools")
    hosted = await services.packages.hosted(services.repository(repository).id, "demo.core")
    assert [reply.status for reply, _ in done] == [201] * 4
    assert await feed.found("q=demo") == [ids[int(hosted.files[0].version[0])]]


ID = "Demo.Core"
GOOD = nuspec(ID, "1.0.0")
DOCTYPE = b'<!DOCTYPE package [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
BAD = {
    "no zip": b"not a package",
    "nothing": b"",
    "cut": zip_of({"a.nuspec": GOOD})[:-10],
    "no nuspec": zip_of({"lib/a.dll": b"x"}),
    "nuspec below": zip_of({"lib/a.nuspec": GOOD}),
    "two nuspecs": zip_of({"a.nuspec": GOOD, "b.nuspec": GOOD}),
    "dtd": zip_of({"a.nuspec": GOOD.replace(b"<package ", DOCTYPE + b"<package ")}),
    "traversal": zip_of({"a.nuspec": GOOD, "../evil": b"x"}),
    "encoded traversal": zip_of({"a.nuspec": GOOD, "lib/..%2f..%2fevil": b"x"}),
    "encoded dots": zip_of({"a.nuspec": GOOD, "lib/%2e%2e/evil": b"x"}),
    "absolute": zip_of({"a.nuspec": GOOD, "/etc/passwd": b"x"}),
    "drive": zip_of({"a.nuspec": GOOD, "C:/evil": b"x"}),
    "twice": zip_of({"a.nuspec": GOOD, "LIB/a.dll": b"x", "lib/A.dll": b"y"}),
    "no id": zip_of({"a.nuspec": nuspec("", "1.0.0")}),
    "odd id": zip_of({"a.nuspec": nuspec("../x", "1.0.0")}),
    "no version": zip_of({"a.nuspec": nuspec(ID, "")}),
    "odd version": zip_of({"a.nuspec": nuspec(ID, "1.0.0/../..")}),
    "odd range": zip_of({"a.nuspec": nuspec(ID, "1.0.0", {"Left": "(1.0)"})}),
    "odd dependency": zip_of({"a.nuspec": nuspec(ID, "1.0.0", {"../Left": "1.0"})}),
    "icon missing": zip_of({"a.nuspec": nuspec(ID, "1.0.0", metadata={"icon": "icon.png"})}),
    "icon is a page": zip_of({"a.nuspec": nuspec(ID, "1.0.0", metadata={"icon": "i.png"}), "i.png": b"<script>"}),
    "symbols": zip_of({"a.nuspec": nuspec(ID, "1.0.0", types=("SymbolsPackage",))}),
}


async def test_what_is_no_package_is_refused_and_nothing_is_kept(feed: Feed, token: str) -> None:
    for why, body in BAD.items():
        reply = await feed.push(body, token)

        assert reply.status == 400, why
        assert reply.headers["X-NuGet-Warning"] == reply.reason
    assert (await feed.get("flat/demo.core/index.json")).status == 404
    hosted = feed.gateway.services.hosted
    assert list(hosted.walk()) == []
    assert list((hosted.root / "uploads").iterdir()) == []


async def test_a_form_without_an_end_is_refused(feed: Feed, token: str) -> None:
    body = b'--b-1\r\nContent-Disposition: form-data; name="package"\r\n\r\nPK'

    reply = await feed.send("PUT", "package", token, body, Content_Type='multipart/form-data; boundary="b-1"')

    assert reply.status == 400


async def test_a_form_that_ends_with_a_bare_line_feed_is_taken(feed: Feed, token: str) -> None:
    """As nuget.exe 2.8 on Mono sends it."""
    built = package().build("Demo.Core", "1.0.0")
    head = b'--b-1\r\nContent-Disposition: form-data; name="package"; filename="package"\r\n\r\n'

    reply = await feed.send(
        "PUT", "v2/", token, head + built.body + b"\n--b-1--", Content_Type="multipart/form-data; boundary=b-1"
    )

    assert reply.status == 201
    assert (await feed.get(PACKAGE)).body == built.body


async def test_only_the_first_part_of_a_form_counts(feed: Feed, token: str) -> None:
    one, other = package().build("Demo.Core", "1.0.0").body, package().build("Other", "1.0.0").body
    head = b"\r\nContent-Disposition: form-data; name=x\r\n\r\n"
    body = b"--b-1" + head + one + b"\r\n--b-1" + head + other + b"\r\n--b-1--"

    reply = await feed.send("PUT", "package", token, body, Content_Type="multipart/form-data; boundary=b-1")

    assert reply.status == 201
    assert await feed.found("q=") == ["Demo.Core"]


async def test_a_package_over_the_limit_is_told_so(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"nuget": {"acme/tools": public()}}, server=ServerConfig(max_upload_size=200_000))
    token = await gateway.token()
    body = package(size=400_000).build("Demo.Core", "1.0.0").body

    reply = await gateway.request("PUT", "nuget/acme/tools/package/", token, data=body)

    assert reply.status == 413
    assert "X-NuGet-Warning" in reply.headers


async def test_who_may_only_read_is_told_in_the_reason_phrase(feed: Feed) -> None:
    reader = await feed.gateway.token("eve", (Scope.READ,))

    reply, _ = await feed.publish("Demo.Core", "1.0.0", reader)

    assert reply.status == 403
    assert "write:packages" in reply.reason
    assert reply.headers["X-NuGet-Warning"] == reply.reason


async def test_a_key_that_is_none_is_401(feed: Feed) -> None:
    reply, _ = await feed.publish("Demo.Core", "1.0.0", "nonsense")

    assert reply.status == 401


async def test_an_unlisted_version_is_hidden_but_restorable_until_it_is_relisted(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)

    gone = await feed.send("DELETE", "package/Demo.Core/1.0", token)

    assert (gone.status, gone.body) == (204, b"")
    assert await feed.found("q=demo") == []
    assert await feed.versions("demo.core") == ["1.0.0"]
    assert (await feed.get(PACKAGE)).status == 200
    (leaf,) = (await feed.json("registration-semver2/demo.core/index.json"))["items"][0]["items"]
    assert leaf["catalogEntry"]["listed"] is False
    assert not leaf["catalogEntry"]["published"].startswith("1900")
    assert (await feed.json("autocomplete?id=demo.core"))["data"] == []

    back = await feed.send("POST", "package/Demo.Core/1.0.0/", token)

    assert back.status == 200
    assert await feed.found("q=demo") == ["Demo.Core"]


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_what_is_not_published_cannot_be_changed(feed: Feed, token: str, method: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    reader = await feed.gateway.token("eve", (Scope.READ, Scope.DELETE))

    assert (await feed.send(method, "package/Demo.Core/2.0.0", token)).status == 404
    assert (await feed.send(method, "package/Other/1.0.0", token)).status == 404
    assert (await feed.send(method, "package/Demo.Core/nonsense", token)).status == 404
    assert (await feed.send(method, "package/Demo.Core/1.0.0", reader)).status == 403
    assert (await feed.send(method, "package/Demo.Core/1.0.0", None)).status == 401


async def test_several_versions_may_be_unlisted_at_once(feed: Feed, token: str) -> None:
    versions = [f"{n}.0.0" for n in range(6)]
    for version in versions:
        await feed.publish("Demo.Core", version, token)

    done = await asyncio.gather(*(feed.send("DELETE", f"package/Demo.Core/{v}", token) for v in versions))

    assert [reply.status for reply in done] == [204] * 6
    assert await feed.found("q=demo") == []


async def test_where_deleting_is_for_good_the_version_never_comes_back(feed: Feed, token: str) -> None:
    feed.path = "nuget/acme/strict/"
    writer = await feed.gateway.token("wil", (Scope.READ, Scope.WRITE))
    await feed.publish("Demo.Core", "1.0.0", token)
    await feed.publish("Demo.Core", "2.0.0", token)

    refused = await feed.send("DELETE", "package/Demo.Core/1.0.0", writer)
    gone = await feed.send("DELETE", "package/Demo.Core/1.0.0", token)

    assert (refused.status, gone.status) == (403, 204)
    assert await feed.versions("demo.core") == ["2.0.0"]
    assert (await feed.get(PACKAGE)).status == 404
    again, _ = await feed.publish("Demo.Core", "1.0.0", token)
    assert again.status == 409
    await feed.send("DELETE", "package/Demo.Core/2.0.0", token)
    assert (await feed.get("flat/demo.core/index.json")).status == 404


async def test_a_deprecation_is_shown_and_taken_back(feed: Feed, token: str) -> None:
    await feed.publish("Demo.Core", "1.0.0", token)
    said = {"reasons": ["Legacy"], "message": "old", "alternatePackage": {"id": "New.Core", "range": "[2.0.0, )"}}
    path = "package/Demo.Core/1.0.0/deprecation"

    async def shown() -> object:
        (leaf,) = (await feed.json("registration-semver2/demo.core/index.json"))["items"][0]["items"]
        return leaf["catalogEntry"].get("deprecation")

    assert (await feed.send("PUT", path, token, json.dumps(said))).status == 204
    assert await shown() == said
    assert (await feed.send("PUT", path, token, b"null")).status == 204
    assert await shown() is None
    assert (await feed.send("PUT", path, token, b"[1]")).status == 400
    assert (await feed.send("PUT", path, token, b"{")).status == 400


async def test_a_name_that_an_upstream_owns_needs_a_claim(feed: Feed, token: str) -> None:
    (theirs,) = feed.fake.nuget("Left.Pad", {"1.0.0": package()})
    assert (await feed.get(f"flat/left.pad/1.0.0/{theirs.filename}")).status == 200

    reply, _ = await feed.publish("Left.Pad", "2.0.0", token)

    assert reply.status == 403
    assert "claim" in reply.reason


async def test_a_private_feed_takes_no_push_from_strangers(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"nuget": {"acme/tools": private()}})
    stranger = await gateway.token("eve", is_admin=False)
    recipe: Recipe = package()

    for secret in (None, stranger):
        body = recipe.build("Demo.Core", "1.0.0").body
        reply = await gateway.request("PUT", "nuget/acme/tools/package/", secret, data=body)
        assert reply.status in {401, 403}
    assert list(gateway.services.hosted.walk()) == []
