"""The fake upstream itself: what it serves is what real clients accept."""

import asyncio
import base64
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from email.parser import BytesParser

import aiohttp
import pytest
from packaging.metadata import Metadata
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from tests.fakes import faults
from tests.fakes.artifacts import sdist, tarball, wheel
from tests.fakes.maven import library
from tests.fakes.registries import ABBREVIATED, JSON_PAGE
from tests.fakes.upstream import CONTROL, FaultyUpstream


async def got(url: str, accept: str = "*/*") -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as response:
        return await response.read()


def test_a_wheel_is_whole() -> None:
    built = wheel(requires_python=">=3.8", requires_dist=("idna>=3",), size=1000).build("Acme.Tool", "1.0")

    name, version, _, _ = parse_wheel_filename(built.filename)
    archive = zipfile.ZipFile(io.BytesIO(built.body))
    metadata = Metadata.from_email(archive.read("acme_tool-1.0.dist-info/METADATA"))

    assert (name, str(version)) == ("acme-tool", "1.0")
    assert archive.testzip() is None
    assert (metadata.name, str(metadata.requires_python)) == ("Acme.Tool", ">=3.8")
    assert [str(requirement) for requirement in metadata.requires_dist or ()] == ["idna>=3"]
    assert archive.read("acme_tool-1.0.dist-info/METADATA") == built.metadata


def test_a_wheels_record_is_true() -> None:
    archive = zipfile.ZipFile(io.BytesIO(wheel(size=100).build("acme", "1.0").body))
    record = [line.split(",") for line in archive.read("acme-1.0.dist-info/RECORD").decode().splitlines()]

    assert {path for path, _, _ in record} == set(archive.namelist())
    for path, digest, size in record[:-1]:
        body = archive.read(path)
        expected = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={expected}", len(body))


def test_an_sdist_is_whole() -> None:
    built = sdist().build("Acme.Tool", "1.0")

    name, version = parse_sdist_filename(built.filename)
    with tarfile.open(fileobj=io.BytesIO(built.body)) as archive:
        about = archive.extractfile("acme_tool-1.0/PKG-INFO")
        assert about is not None
        fields = BytesParser().parse(about)

    assert (name, str(version)) == ("acme-tool", "1.0")
    assert (fields["Name"], fields["Version"]) == ("Acme.Tool", "1.0")


def test_a_tarball_is_whole() -> None:
    built = tarball(dependencies={"left-pad": "^1"}).build("@acme/tool", "1.0.0")

    with tarfile.open(fileobj=io.BytesIO(built.body)) as archive:
        manifest = archive.extractfile("package/package.json")
        assert manifest is not None
        assert json.load(manifest) == {
            "name": "@acme/tool",
            "version": "1.0.0",
            "main": "index.js",
            "dependencies": {"left-pad": "^1"},
        }
    integrity = base64.b64encode(hashlib.sha512(built.body).digest()).decode()
    assert built.filename == "tool-1.0.0.tgz"
    assert built.facts["dist"]["integrity"] == f"sha512-{integrity}"
    assert built.facts["dist"]["shasum"] == hashlib.sha1(built.body).hexdigest()


def test_the_same_recipe_gives_the_same_bytes() -> None:
    for recipe in (wheel(size=10), sdist(), tarball(size=10)):
        assert recipe.build("acme", "1.0.0").body == recipe.build("acme", "1.0.0").body


async def test_a_project_is_served_as_json_and_html(fake: FaultyUpstream) -> None:
    one, two, _ = fake.pypi(
        "Acme.Tool", {"1.0": [wheel(requires_python=">=3.8"), sdist()], "2.0": wheel(yanked="broken")}, sidecars=True
    )

    page = json.loads(await got(f"{fake.pypi_url}acme-tool/", JSON_PAGE))
    html = (await got(f"{fake.pypi_url}acme-tool/")).decode()

    assert page["versions"] == ["1.0", "2.0"]
    assert [file["filename"] for file in page["files"]][:2] == [one.filename, two.filename]
    assert page["files"][0]["hashes"] == {"sha256": hashlib.sha256(await got(page["files"][0]["url"])).hexdigest()}
    assert page["files"][0]["requires-python"] == ">=3.8"
    assert page["files"][2]["yanked"] == "broken"
    sidecar = await got(f"{page['files'][0]['url']}.metadata")
    assert page["files"][0]["core-metadata"] == {"sha256": hashlib.sha256(sidecar).hexdigest()}
    assert f"{one.filename}#sha256={one.sha256}" in html
    assert 'data-requires-python="&gt;=3.8"' in html


async def test_a_package_is_served_full_and_abbreviated(fake: FaultyUpstream) -> None:
    (built,) = fake.npm("@acme/tool", {"1.0.0": tarball(deprecated="old")})

    full = json.loads(await got(f"{fake.npm_url}@acme%2ftool"))
    short = json.loads(await got(f"{fake.npm_url}@acme/tool", ABBREVIATED))

    assert full["dist-tags"] == short["dist-tags"] == {"latest": "1.0.0"}
    assert full["time"]["1.0.0"] == full["time"]["created"]
    assert "time" not in short
    assert short["versions"]["1.0.0"]["deprecated"] == "old"
    assert await got(full["versions"]["1.0.0"]["dist"]["tarball"]) == built.body


async def test_a_library_is_served_with_its_pom_metadata_and_checksums(fake: FaultyUpstream) -> None:
    fake.maven("com.acme:tool", {"1.0": library(), "1.1": library(dependencies=("com.acme:base:1.0",))})
    base = f"{fake.maven_url}com/acme/tool/"

    metadata = await got(f"{base}maven-metadata.xml")
    pom = await got(f"{base}1.1/tool-1.1.pom")
    jar = await got(f"{base}1.1/tool-1.1.jar")

    assert b"<versions><version>1.0</version><version>1.1</version></versions>" in metadata
    assert b"<artifactId>base</artifactId><version>1.0</version>" in pom
    assert zipfile.ZipFile(io.BytesIO(jar)).read("com/acme/tool.txt") == b"1.1\n"
    assert await got(f"{base}1.1/tool-1.1.jar.sha1") == hashlib.sha1(jar).hexdigest().encode()


async def test_a_stopped_fake_comes_back_at_the_same_address(fake: FaultyUpstream) -> None:
    await fake.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await got(f"{fake.url}simple/acme/")

    await fake.start()

    assert await got(f"{fake.url}simple/acme/") == b"the page"


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        ("bytes=0-3", 206, b"the "),
        ("bytes=4-", 206, b"page"),
        ("bytes=-2", 206, b"ge"),
        ("bytes=4-999", 206, b"page"),
        ("bytes=8-", 416, b""),
        ("bytes=0-1,3-4", 200, b"the page"),
    ],
)
async def test_ranges(fake: FaultyUpstream, text: str, status: int, body: bytes) -> None:
    url = f"{fake.url}simple/acme/"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Range": text}) as response:
        assert (response.status, await response.read()) == (status, body)


async def test_a_fault_of_a_path_comes_before_one_of_all(fake: FaultyUpstream) -> None:
    fake.fault(faults.answer(500))
    fake.fault(faults.malformed(), "/simple/acme/")

    assert (await got(f"{fake.url}simple/acme/")).startswith(b'{"files"')
    assert await got(f"{fake.url}files/acme.whl") == b"500\n"
    fake.heal("/simple/acme/")
    assert await got(f"{fake.url}simple/acme/") == b"500\n"


async def test_it_takes_orders_from_another_process() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fakes.upstream", "--demo", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        control = url + CONTROL.lstrip("/")
        async with aiohttp.ClientSession() as session:
            await session.put(f"{control}pages/simple/new/", data=b"a page", headers={"Content-Type": "text/html"})
            await session.put(f"{control}fault", json={"kind": "answer", "status": 503, "path": "/simple/"})

            async with session.get(f"{url}simple/new/") as response:
                assert (response.status, response.content_type) == (200, "text/html")
            async with session.get(f"{url}simple/") as response:
                assert response.status == 503
            async with session.get(f"{url}npm/@acme%2Ftool") as response:
                assert (await response.json())["name"] == "@acme/tool"
            async with session.get(f"{control}requests") as response:
                assert [seen["path"] for seen in await response.json()] == [
                    "/simple/new/",
                    "/simple/",
                    "/npm/@acme%2Ftool",
                ]
    finally:
        process.terminate()
        await process.wait()
