"""GET and HEAD of what is hosted: hashes in headers and sidecars, ranges, folders, and who may read."""

import asyncio
import base64
from urllib.parse import urlsplit

import pytest

from gateway.config import RepositoryConfig
from gateway.model import Scope
from tests.conftest import StartGateway, private, public
from tests.fakes.maven import library, pom
from tests.maven.asking import ALGORITHMS, BASE, Client, hex_of

TOOL = "com/acme/tool/"
JAR = f"{TOOL}1.0/tool-1.0.jar"
POM = f"{TOOL}1.0/tool-1.0.pom"
ALL = (JAR, POM, f"{TOOL}maven-metadata.xml")


async def test_every_kind_of_checksum_is_there_for_every_file_and_says_what_the_bytes_are(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")
    await jvm.deploy_snapshot("com.acme:tool", "1.1", "20240102.030405", 1)

    for path in (*ALL, f"{TOOL}1.1-SNAPSHOT/maven-metadata.xml"):
        found = await jvm.get(path)
        for algorithm in ALGORITHMS:
            summed = await jvm.get(f"{path}.{algorithm}")
            expected = hex_of(found.body, algorithm)
            assert (summed.status, summed.body) == (200, expected.encode()), path
            assert found.headers[f"X-Checksum-{algorithm.title()}"] == expected


async def test_head_says_what_get_says(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    for path in (*ALL, f"{JAR}.sha1", f"{TOOL}maven-metadata.xml.sha1"):
        got, headed = await jvm.get(path), await jvm.head(path)
        assert headed.body == b""
        for name in ("Content-Length", "ETag", "Last-Modified", "X-Checksum-Sha1", "Content-Type"):
            assert headed.headers.get(name) == got.headers.get(name), (path, name)


async def test_nothing_is_compressed_whatever_a_client_takes(jvm: Client) -> None:
    for i in range(60):
        await jvm.put(f"{TOOL}1.{i}/tool-1.{i}.pom", pom("com.acme:tool", f"1.{i}", packaging="pom"))

    found = await jvm.get(f"{TOOL}maven-metadata.xml", Accept_Encoding="gzip")

    assert "Content-Encoding" not in found.headers
    assert len(found.body) > 1000
    assert found.headers["X-Checksum-Sha1"] == hex_of(found.body)


async def test_what_a_client_accepts_is_never_too_little(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    for accept in ("application/problem+json,*/*", "text/html", "image/png"):
        assert {(await jvm.get(path, Accept=accept)).status for path in ALL} == {200}


async def test_an_interrupted_download_goes_on_and_a_changed_file_starts_anew(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")
    whole = await jvm.get(JAR)

    rest = await jvm.get(JAR, Range="bytes=10-", If_Unmodified_Since=whole.headers["Last-Modified"])
    changed = await jvm.get(JAR, Range="bytes=10-", If_Unmodified_Since="Mon, 01 Jan 2001 00:00:00 GMT")

    assert (rest.status, rest.body) == (206, made.body[10:])
    assert rest.headers["Content-Range"] == f"bytes 10-{len(made.body) - 1}/{len(made.body)}"
    assert changed.status == 412


async def test_unchanged_documents_are_not_sent_again(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    for path in ALL:
        first = await jvm.get(path)
        assert (await jvm.get(path, If_None_Match=first.headers["ETag"])).status == 304


async def test_releases_may_be_kept_for_good_and_metadata_may_not(jvm: Client) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    assert "immutable" in (await jvm.get(JAR)).headers["Cache-Control"]
    assert "no-cache" in (await jvm.get(f"{TOOL}maven-metadata.xml")).headers["Cache-Control"]


async def test_the_alias_is_the_same_repository(jvm: Client) -> None:
    made = await jvm.deploy("com.acme:tool", "1.0")

    found = await jvm.gateway.get(f"gradle/acme/jvm/{JAR}", jvm.token)

    assert found.body == made.body


async def test_folders_lead_to_what_is_published_and_the_root_always_answers(jvm: Client) -> None:
    empty = await jvm.get("")
    await jvm.deploy("com.acme:tool", "1.0")
    await jvm.deploy("com.acme.more:other", "1.0")

    assert empty.status == 200
    for path, name in (
        ("", "com/"),
        ("com/", "acme/"),
        ("com/acme/", "more/"),
        (TOOL, "1.0/"),
        (f"{TOOL}1.0/", "tool-1.0.jar"),
    ):
        found = await jvm.get(path)
        assert f'<a href="{name}">' in await found.text(), path
    assert (await jvm.get("org/")).status == 404
    assert (await jvm.get(f"{TOOL}2.0/")).status == 404


async def test_folders_can_be_left_out(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": public("hosted", settings={"listings": False})}})
    jvm = Client(gateway, await gateway.token())
    await jvm.deploy("com.acme:tool", "1.0")

    assert (await jvm.get("")).status == 200
    assert (await jvm.get(TOOL)).status == 404


@pytest.mark.parametrize(
    "path",
    [
        ".meta/prefixes.txt",
        ".meta/prefixes.txt.sha1",
        ".index/nexus-maven-repository-index.gz",
        "archetype-catalog.xml",
        f"{TOOL}1.0/tool-1.0.module",
        f"{TOOL}9.0/tool-9.0.jar",
        "com/acme/nothing/maven-metadata.xml",
        "com/acme/nothing/maven-metadata.xml.sha1",
        "nonsense",
    ],
)
async def test_what_is_not_there_is_absent_and_never_forbidden(jvm: Client, path: str) -> None:
    await jvm.deploy("com.acme:tool", "1.0")

    found = await jvm.get(path)

    assert found.status == 404
    assert found.headers["Content-Type"] == "text/plain; charset=utf-8"  # Maven takes a problem document for trouble


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_private_repository_challenges_once_by_basic_whether_or_not_a_file_is_there(
    start_gateway: StartGateway,
) -> None:
    gateway = await start_gateway(
        {"maven": {"acme/jvm": private("hosted", settings={"realm": 'Sonatype "Nexus" Repository Manager'})}}
    )
    jvm, nobody = Client(gateway, await gateway.token()), Client(gateway)
    made = await jvm.deploy("com.acme:tool", "1.0")

    for path in (*ALL, f"{TOOL}9/tool-9.jar", "", ".meta/prefixes.txt"):
        refused = await nobody.get(path)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == 'Basic realm="Sonatype Nexus Repository Manager"'
    basic = base64.b64encode(f"anybody:{jvm.token}".encode()).decode()
    for headers in (
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Bearer {jvm.token}"},
        {"Private_Token": str(jvm.token)},
        {"Deploy_Token": str(jvm.token)},
        {"Job_Token": str(jvm.token)},
    ):
        assert (await nobody.get(JAR, **headers)).body == made.body


async def test_no_right_is_said_as_such_so_that_no_client_takes_it_for_absent(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted")}})
    await Client(gateway, await gateway.token()).deploy("com.acme:tool", "1.0")
    bob = Client(gateway, await gateway.token("bob", is_admin=False))

    refused = await bob.get(JAR)
    await gateway.grant("bob", "read", "maven/acme/jvm", "com.acme:*")

    assert refused.status == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (await bob.get(JAR)).status == 200


async def test_a_token_that_may_only_write_can_deploy(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted")}})
    writer = Client(gateway, await gateway.token(scopes=(Scope.WRITE,)))

    await writer.deploy("com.acme:tool", "1.0")

    assert all(status < 300 or (method, status) == ("GET", 404) for method, _, status in writer.sent)


async def test_a_token_for_one_group_deploys_nothing_else(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted")}})
    jvm = Client(gateway, await gateway.token(packages=("com.acme.**",)))

    await jvm.deploy("com.acme:tool", "1.0")
    await jvm.deploy("com.acme.more:tool", "1.0")

    assert (await jvm.put("org/evil/tool/1.0/tool-1.0.pom", pom("org.evil:tool", "1.0"))).status == 403
    assert (await jvm.put("org/evil/tool/maven-metadata.xml", "<metadata/>")).status == 403


async def test_who_may_not_write_is_refused_before_the_body_is_sent(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": RepositoryConfig(visibility="public")}})  # type: ignore[arg-type]
    reader = await gateway.token("bob", (Scope.READ,), is_admin=False)
    writer = await gateway.token()
    body = library().build("com.acme:tool", "1.0").body

    refused, _ = await expecting(gateway.url, reader, body)
    taken, created = await expecting(gateway.url, writer, body)

    assert refused.startswith(b"HTTP/1.1 403 ")
    assert b"\r\nConnection: close\r\n" in refused
    assert (taken.split(b"\r\n")[0], created.split(b"\r\n")[0]) == (b"HTTP/1.1 100 Continue", b"HTTP/1.1 201 Created")


async def test_a_client_that_offers_http_2_on_a_plain_connection_has_its_file_taken(jvm: Client) -> None:
    body = library(size=300_000).build("com.acme:tool", "1.0").body

    taken = await jvm.put(
        JAR, body, Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAEAAEAAAAIAAAAA"
    )

    assert taken.status == 201
    assert (await jvm.get(JAR)).body == body


async def expecting(url: str, token: str, body: bytes) -> tuple[bytes, bytes]:
    """PUT with `Expect: 100-continue`: the first answer, and what comes after the body was sent (if it was wanted)."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"PUT /{BASE}{JAR} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    first = await reader.readuntil(b"\r\n\r\n")
    if first.startswith(b"HTTP/1.1 100"):
        writer.write(body)
        second = await reader.readuntil(b"\r\n\r\n")
    else:
        second = b""  # the client does not send its body, and the server ends the connection
    writer.close()
    await writer.wait_closed()
    return first, second
