"""Simple pages, files, sidecars and the JSON API over the real application."""

import re
from urllib.parse import urljoin

import aiohttp
import pytest

from gateway.config import ServerConfig
from gateway.model import Digest
from tests.conftest import Gateway, StartGateway, private, public
from tests.fakes.artifacts import sdist, wheel
from tests.fakes.upstream import FaultyUpstream
from tests.pypi.asking import JSON, PIP, ask, get, page, publish

IMMUTABLE = "max-age=365000000, immutable"


@pytest.fixture
async def hosted(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({"pypi": {"acme/tools": public("hosted")}})


async def test_negotiation_gives_each_client_its_form_and_says_what_it_depends_on(hosted: Gateway) -> None:
    token = await hosted.token()
    await publish(hosted, wheel().build("foo-bar", "1.0"), "Foo_Bar", "1.0", token)

    cases = [
        ("simple/foo-bar/", "*/*", "text/html"),
        ("simple/foo-bar/", PIP, JSON),
        ("simple/foo-bar/", f"{JSON}, */*;q=0.1", JSON),
        ("simple/foo-bar/", "application/vnd.pypi.simple.latest+json", JSON),
        ("simple/foo-bar/?format=application/vnd.pypi.simple.v1%2Bjson", "text/html", JSON),
        ("simple/foo-bar/?format=application/vnd.pypi.simple.v1+json", "text/html", JSON),
        ("simple/", PIP, JSON),
        ("simple/", "*/*", "text/html"),
        ("legacy/+simple/foo-bar/", PIP, "text/html"),
        ("legacy/%2Bsimple/foo-bar/", "*/*", "text/html"),
        ("+simple/foo-bar/", "*/*", "text/html"),
    ]
    for path, accept, kind in cases:
        found = await get(hosted, path, Accept=accept)
        again = await get(hosted, path, Accept=accept, If_None_Match=found.headers["ETag"])

        assert (found.status, found.headers["Content-Type"]) == (200, kind), path
        assert "Accept" in found.headers["Vary"]
        assert (again.status, again.body) == (304, b"")
        assert "Accept" in again.headers["Vary"]


async def test_every_page_links_to_files_below_the_repository(hosted: Gateway) -> None:
    token = await hosted.token()
    built = wheel().build("foo-bar", "1.0")
    await publish(hosted, built, "foo-bar", "1.0", token)

    for path in ("simple/foo-bar/", "legacy/+simple/foo-bar/", "+simple/foo-bar/"):
        text = (await get(hosted, path)).text
        (href,) = re.findall(r'href="([^"#]+)', text)
        base = f"{hosted.url}pypi/acme/tools/{path}"

        assert urljoin(base, href) == f"{hosted.url}pypi/acme/tools/files/foo-bar/{built.sha256}/{built.filename}"


async def test_other_spellings_and_a_missing_slash_are_redirected_with_their_query(hosted: Gateway) -> None:
    await publish(hosted, wheel().build("foo-bar", "1.0"), "foo-bar", "1.0", await hosted.token())
    base = f"{hosted.url}pypi/acme/tools/"

    for path, target in [
        ("simple/Foo_Bar/", "simple/foo-bar/"),
        ("simple/foo-bar", "simple/foo-bar/"),
        ("simple/Foo.Bar", "simple/foo-bar/"),
        ("simple/foo--bar/?a=b%26c", "simple/foo-bar/?a=b%26c"),
        ("simple", "simple/"),
        ("legacy/+simple/Foo.Bar/", "legacy/+simple/foo-bar/"),
        ("+simple/foo-bar", "+simple/foo-bar/"),
    ]:
        found = await get(hosted, path)

        assert (found.status, found.headers.get("Location")) == (301, base + target), path


async def test_what_is_no_name_is_404_and_asks_nobody(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})

        for name in ("a%20b", "_x", "x-", "a%E2%84%AAb", "-"):
            for path in (f"simple/{name}/", f"simple/{name}", f"files/{name}/-/x-1.0.tar.gz", f"pypi/{name}/json"):
                found = await get(gateway, path)
                assert found.status in {400, 404}, path
        assert fake.count() == 0


async def test_posting_to_the_simple_page_is_405_with_what_is_allowed(hosted: Gateway) -> None:
    for path in ("simple/", "simple/foo/"):
        refused = await ask(hosted, "POST", path, data=b"x")

        assert refused.status == 405
        assert refused.headers["Allow"] == "GET, HEAD"


async def test_a_hosted_page_is_revalidated_and_shows_the_next_publish_at_once(hosted: Gateway) -> None:
    token = await hosted.token()
    await publish(hosted, wheel().build("foo", "1.0"), "foo", "1.0", token)
    first = await page(hosted, "foo")

    unchanged = await get(hosted, "simple/foo/", Accept=PIP, If_None_Match=first.headers["ETag"])
    await publish(hosted, wheel().build("foo", "2.0"), "foo", "2.0", token)
    changed = await get(hosted, "simple/foo/", Accept=PIP, If_None_Match=first.headers["ETag"])

    assert first.headers["Cache-Control"] == "no-cache"
    assert unchanged.status == 304
    assert changed.status == 200
    assert changed.json["versions"] == ["1.0", "2.0"]
    assert int(changed.headers["X-PyPI-Last-Serial"]) > int(first.headers["X-PyPI-Last-Serial"])
    assert changed.json["meta"]["_last-serial"] == int(changed.headers["X-PyPI-Last-Serial"])


async def test_files_are_served_whole_in_ranges_and_by_head(hosted: Gateway) -> None:
    built = sdist().build("foo", "1.0")
    await publish(hosted, built, "foo", "1.0", await hosted.token())
    path = f"files/foo/{built.sha256}/{built.filename}"

    whole = await get(hosted, path, Accept_Encoding="gzip")
    head = await ask(hosted, "HEAD", path)
    tail = await get(hosted, path, Range="bytes=-100000")
    middle = await get(hosted, path, Range="bytes=5-9")
    beyond = await get(hosted, path, Range="bytes=999999-")
    resumed = await get(hosted, path, Range="bytes=7-", If_Range=whole.headers["ETag"])
    known = await get(hosted, path, If_None_Match=whole.headers["ETag"])

    assert (whole.status, whole.body) == (200, built.body)
    assert whole.headers["ETag"] == f'"sha256:{built.sha256}"'
    assert whole.headers["Content-Type"] == "application/octet-stream"
    assert IMMUTABLE in whole.headers["Cache-Control"]
    assert "Content-Encoding" not in whole.headers
    assert "Last-Modified" in whole.headers
    for name in ("Content-Length", "Accept-Ranges", "ETag", "Content-Type", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]
    assert (head.status, head.body) == (200, b"")
    assert (tail.status, tail.body) == (206, built.body)
    assert (middle.status, middle.body) == (206, built.body[5:10])
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(built.body)}")
    assert (resumed.status, resumed.body) == (206, built.body[7:])
    assert known.status == 304


async def test_a_known_name_with_another_digest_is_404(hosted: Gateway) -> None:
    built = wheel().build("foo", "1.0")
    await publish(hosted, built, "foo", "1.0", await hosted.token())
    wrong = "0" * 64

    for path in (
        f"files/foo/{wrong}/{built.filename}",
        f"files/foo/{wrong}/{built.filename}.metadata",
        f"files/foo/{built.sha256.upper()}/{built.filename}",
        f"files/foo/{built.sha256[:-1]}/{built.filename}",
        f"files/bar/{built.sha256}/{built.filename}",
        f"files/foo/{built.sha256}/{built.filename}.asc",
        f"files/foo/{built.sha256}/{built.filename}.provenance",
        f"files/foo/{built.sha256}/{built.filename}.pkg-info",
        f"files/foo/{built.sha256}/evil",
    ):
        found = await get(hosted, path)
        assert found.status == 404, path
        assert found.headers["Cache-Control"] == "no-store"
    assert (await get(hosted, f"files/foo/-/{built.filename}")).body == built.body


async def test_a_wheels_sidecar_is_its_metadata_member_and_is_promised_on_the_page(hosted: Gateway) -> None:
    token = await hosted.token()
    built, source = wheel(requires_python=">=3.9").build("foo", "1.0"), sdist().build("foo", "1.0")
    await publish(hosted, built, "foo", "1.0", token)
    await publish(hosted, source, "foo", "1.0", token)

    shown = (await page(hosted, "foo")).files
    sidecar = await get(hosted, f"files/foo/{built.sha256}/{built.filename}.metadata")
    none = await get(hosted, f"files/foo/{source.sha256}/{source.filename}.metadata")

    digest = {"sha256": Digest.of(sidecar.body).hex}
    assert sidecar.body == built.metadata
    assert shown[built.filename]["core-metadata"] == shown[built.filename]["data-dist-info-metadata"] == digest
    assert shown[built.filename]["requires-python"] == ">=3.9"
    assert "ETag" in sidecar.headers
    assert "core-metadata" not in shown[source.filename]
    assert none.status == 404


async def test_a_json_page_has_no_nulls_and_knows_all_its_versions(hosted: Gateway) -> None:
    token = await hosted.token()
    for version in ("1.0", "1.1rc1", "2.0"):
        for recipe in (wheel(), sdist()):
            await publish(hosted, recipe.build("foo", version), "foo", version, token)

    document = (await page(hosted, "foo")).json
    listed = (await get(hosted, "simple/", Accept=PIP)).json

    for file in document["files"]:
        assert None not in file.values()
        assert re.fullmatch("[0-9a-f]{64}", file["hashes"]["sha256"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", file["upload-time"])
        assert isinstance(file["size"], int)
        assert file["filename"].split("-")[1].removesuffix(".tar.gz") in document["versions"]
    assert len(document["files"]) == 6
    assert listed["projects"] == [{"name": "foo"}]


async def test_a_private_repository_hides_every_name_behind_the_same_401(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.pypi("there", {"1.0": wheel()})
        gateway = await start_gateway({"pypi": {"acme/tools": private("hosted", "fake")}}, {"fake": fake.config()})

        for path in (
            "simple/",
            "simple/there/",
            "simple/missing/",
            "files/there/-/there-1.0.tar.gz",
            "pypi/there/json",
        ):
            refused = await get(gateway, path)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="acme/tools"'
        assert fake.count() == 0


async def test_every_way_to_carry_a_token_works(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": private("hosted")}})
    token = await gateway.token()
    await publish(gateway, wheel().build("foo", "1.0"), "foo", "1.0", token)

    carriers = [
        aiohttp.encode_basic_auth("__token__", token),
        aiohttp.encode_basic_auth("anybody", token),
        aiohttp.encode_basic_auth(token, ""),
        aiohttp.encode_basic_auth("__token__", f" {token}\n"),
        f"Bearer {token}",
        f"token {token}",
    ]
    for carrier in carriers:
        found = await get(gateway, "simple/foo/", Authorization=carrier)
        assert found.status == 200, carrier.split()[0]
        assert found.headers["Cache-Control"].split(", ") == ["private", "no-cache"]


async def test_a_hosted_name_without_a_grant_is_403_so_that_uv_stops(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": private("hosted")}})
    await publish(gateway, wheel().build("foo", "1.0"), "foo", "1.0", await gateway.token())
    stranger = await gateway.token("eve", is_admin=False)

    assert (await page(gateway, "foo", stranger)).status == 403


async def test_a_proxied_page_keeps_what_the_upstream_said(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        recipe = wheel(requires_python=">=3.8", yanked="oops")
        (built,) = fake.pypi("foo", {"1.0": recipe}, sidecars=True)
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})

        found = await page(gateway, "foo")
        file = found.files[built.filename]
        body = await get(gateway, f"files/foo/{built.sha256}/{built.filename}")
        sidecar = await get(gateway, f"files/foo/{built.sha256}/{built.filename}.metadata")

        assert file["url"] == f"../../files/foo/{built.sha256}/{built.filename}"
        assert (file["upload-time"], file["yanked"], file["requires-python"]) == (recipe.uploaded_at, "oops", ">=3.8")
        assert body.body == built.body
        assert sidecar.body == built.metadata
        control = dict(part.partition("=")[::2] for part in found.headers["Cache-Control"].split(", "))
        assert 0 < int(control["max-age"]) <= 600


async def test_links_name_our_address_only_for_those_who_came_by_it(start_gateway: StartGateway) -> None:
    server = ServerConfig(public_url="https://pkg.example.com/depot/")
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}}, server=server)
    built = wheel().build("foo", "1.0")
    await publish(gateway, built, "foo", "1.0", await gateway.token())
    path = f"files/foo/{built.sha256}/{built.filename}"

    async def link(host: str) -> object:
        return (await get(gateway, "simple/foo/", Accept=PIP, Host=host)).files[built.filename]["url"]

    for _ in range(2):
        assert await link("PKG.example.com") == f"https://pkg.example.com/depot/pypi/acme/tools/{path}"
        assert await link("10.0.0.7:8080") == f"../../{path}"
        assert await link("evil.example") == f"../../{path}"


async def test_a_lock_files_url_works_on_an_empty_cache(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": sdist()})
        gateway = await start_gateway({"pypi": {"acme/tools": public("fake")}}, {"fake": fake.config()})

        found = await get(gateway, f"files/foo/{built.sha256}/{built.filename}")

        assert (found.status, found.body) == (200, built.body)
        assert found.headers["ETag"] == f'"sha256:{built.sha256}"'


async def test_an_upstreams_html_with_base_and_relative_links_becomes_our_own(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        built = wheel().build("foo", "1.0")
        fake.serve(f"/elsewhere/{built.filename}", built.body)
        fake.serve(
            "/simple/foo/",
            f'<!DOCTYPE html><html><head><base href="/elsewhere/"><script>alert(1)</script></head><body>'
            f'<a onclick="alert(2)" href="{built.filename}#sha256={built.sha256}">{built.filename}</a>'
            f'<a href="https://evil.example/foo-2.0.tar.gz">foo-2.0.tar.gz</a></body></html>'.encode(),
            "text/html",
        )
        gateway = await start_gateway({"pypi": {"acme/tools": public("fake")}}, {"fake": fake.config()})

        text = (await get(gateway, "simple/foo/")).text
        body = await get(gateway, f"files/foo/{built.sha256}/{built.filename}")

        assert "alert" not in text
        assert "<base" not in text
        assert re.findall("<a [^>]*>([^<]*)", text) == [built.filename]
        assert body.body == built.body


async def test_trouble_upstream_is_503_for_the_unknown_and_stale_for_the_known(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.cache_control = "max-age=0"
        fake.pypi("foo", {"1.0": wheel()})
        gateway = await start_gateway({"pypi": {"acme/tools": public("fake")}}, {"fake": fake.config()})
        before = await page(gateway, "foo")
        await fake.stop()

        known = await page(gateway, "foo")
        unknown = await page(gateway, "bar")

        assert (known.status, known.body) == (200, before.body)
        assert unknown.status == 503
        assert "Retry-After" in unknown.headers


async def test_the_json_api_describes_hosted_packages_from_their_metadata(hosted: Gateway) -> None:
    token = await hosted.token()
    recipe = wheel(requires_dist=("idna>=2",), requires_python=">=3.9", description="# Read me\n")
    built = recipe.build("foo-bar", "1.0")
    await publish(hosted, built, "foo-bar", "1.0", token)
    await publish(hosted, sdist().build("foo-bar", "2.0rc1"), "foo-bar", "2.0rc1", token)
    await publish(hosted, sdist().build("foo-bar", "0.9"), "foo-bar", "0.9", token)

    latest = await get(hosted, "pypi/Foo_Bar/json")
    one = await get(hosted, "pypi/foo-bar/2.0rc1/json")
    none = await get(hosted, "pypi/foo-bar/3.0/json")

    assert latest.headers["Content-Type"] == "application/json"
    said = latest.json
    assert (said["info"]["name"], said["info"]["version"]) == ("foo-bar", "1.0")
    assert said["info"]["requires_dist"] == ["idna>=2"]
    assert said["info"]["requires_python"] == ">=3.9"
    assert said["info"]["description"] == "# Read me\n"
    assert said["info"]["summary"] == "foo-bar for tests"
    assert sorted(said["releases"]) == ["0.9", "1.0", "2.0rc1"]
    (url,) = said["urls"]
    assert url["url"] == f"{hosted.url}pypi/acme/tools/files/foo-bar/{built.sha256}/{built.filename}"
    assert (url["packagetype"], url["python_version"], url["yanked"]) == ("bdist_wheel", "py3", False)
    assert url["digests"]["sha256"] == built.sha256
    assert set(url["digests"]) == {"sha256", "blake2b_256"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", url["upload_time"])
    assert "releases" not in one.json
    assert one.json["info"]["version"] == "2.0rc1"
    assert one.json["info"]["summary"] == "foo-bar for tests"
    assert (none.status, none.headers["Content-Type"]) == (404, "application/json")
    assert "message" in none.json


async def test_the_json_api_is_synthesised_for_an_upstreams_packages(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.pypi("foo", {"1.0": wheel(), "2.0": wheel(requires_dist=("idna",))}, sidecars=True)
        fake.pypi("bar", {"1.0": wheel(requires_python=">=3.7")})
        gateway = await start_gateway({"pypi": {"acme/tools": public("fake")}}, {"fake": fake.config()})

        with_sidecar, without = await get(gateway, "pypi/foo/json"), await get(gateway, "pypi/bar/json")
        missing = await get(gateway, "pypi/missing/json")

        assert with_sidecar.json["info"]["version"] == "2.0"
        assert with_sidecar.json["info"]["requires_dist"] == ["idna"]
        assert sorted(with_sidecar.json["releases"]) == ["1.0", "2.0"]
        assert without.json["info"]["requires_python"] == ">=3.7"
        assert missing.status == 404
        assert fake.count("/files/foo-1.0-py3-none-any.whl.metadata") == 0
        assert fake.count("/files/foo-2.0-py3-none-any.whl") == 0


async def test_a_hosted_name_shows_no_trace_of_an_upstream_anywhere(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (evil,) = fake.pypi("foo", {"99.0": wheel()}, sidecars=True)
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})
        token = await gateway.token()
        await publish(gateway, wheel().build("foo", "1.0"), "foo", "1.0", token)
        fake.forget()

        for path in (
            "simple/foo/",
            "simple/Foo/",
            "legacy/+simple/foo/",
            "pypi/foo/json",
            "pypi/foo/99.0/json",
            f"files/foo/{evil.sha256}/{evil.filename}",
            f"files/foo/-/{evil.filename}",
            f"files/foo/{evil.sha256}/{evil.filename}.metadata",
            f"integrity/foo/99.0/{evil.filename}/provenance",
            "search?q=foo",
        ):
            found = await get(gateway, path, token)
            assert found.status in {200, 301, 404}
            if found.status == 200:
                assert b"99.0" not in found.body, path
        assert fake.count() == 0


async def test_search_is_answered_here_so_that_the_term_is_not_sent_elsewhere(hosted: Gateway) -> None:
    await publish(hosted, wheel().build("acme-tool", "1.0"), "acme-tool", "1.0", await hosted.token())

    hit, miss = await get(hosted, "search?q=acme"), await get(hosted, "search/?q=%3Cscript%3E")

    assert 'class="package-snippet__name">acme-tool<' in hit.text
    assert 'class="package-snippet__version">1.0<' in hit.text
    assert miss.status == 200
    assert "<script>" not in miss.text


async def test_what_was_read_is_listed_with_what_is_published(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("theirs", {"1.0": wheel()})
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})
        await publish(gateway, wheel().build("mine", "1.0"), "mine", "1.0", await gateway.token())
        await get(gateway, f"files/theirs/{built.sha256}/{built.filename}")

        listed = (await get(gateway, "simple/", Accept=PIP)).json["projects"]

        assert [project["name"] for project in listed] == ["mine", "theirs"]
