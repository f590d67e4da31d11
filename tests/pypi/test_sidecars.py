"""What belongs to a proxied file (metadata, provenance) belongs to exactly these bytes, never to a name alone."""

import hashlib
import io
import zipfile

import pytest

from gateway.housekeeping import Housekeeping
from tests.conftest import Gateway, StartGateway, public
from tests.fakes.artifacts import Artifact, noise, sdist, wheel
from tests.fakes.upstream import FaultyUpstream
from tests.pypi.asking import get, page, publish

OTHER = "0" * 64
LARGE = 1024 * 1024


async def start(start_gateway: StartGateway, fake: FaultyUpstream, **more: tuple[str, ...]) -> Gateway:
    repositories = {"pypi": {"acme/tools": public("hosted", "fake", **more)}}
    return await start_gateway(repositories, {"fake": fake.config(max_age=0.0)})


def sidecar_of(artifact: Artifact, sha256: str | None = None) -> str:
    return f"files/foo/{sha256 or artifact.sha256}/{artifact.filename}.metadata"


async def test_a_cached_sidecar_is_not_given_for_other_bytes(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel()}, sidecars=True)
        gateway = await start(start_gateway, fake)

        right = await get(gateway, sidecar_of(built))
        wrong = await get(gateway, sidecar_of(built, OTHER))

        assert (right.status, right.body) == (200, built.metadata)
        assert wrong.status == 404


async def test_two_files_of_one_name_keep_each_its_own_sidecar(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (old,) = fake.pypi("foo", {"1.0": wheel(description="old")}, sidecars=True)
        gateway = await start(start_gateway, fake)
        await get(gateway, sidecar_of(old))
        (new,) = fake.pypi("foo", {"1.0": wheel(description="new")}, sidecars=True)
        await gateway.services.document_rows.purge("fake")

        first, second = await get(gateway, sidecar_of(old)), await get(gateway, sidecar_of(new))

        assert old.metadata != new.metadata
        assert (first.body, second.body) == (old.metadata, new.metadata)


async def test_a_cached_sidecar_is_served_while_the_upstream_is_gone(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel()}, sidecars=True)
        gateway = await start(start_gateway, fake)
        await get(gateway, sidecar_of(built))
        asked = fake.count()
        await fake.stop()

        again = await get(gateway, sidecar_of(built))

        assert (again.status, again.body) == (200, built.metadata)
        assert fake.count() == asked


@pytest.mark.parametrize("address", [None, "-"])
async def test_a_hosted_file_has_no_sidecar_of_an_upstream(start_gateway: StartGateway, address: str | None) -> None:
    async with FaultyUpstream() as fake:
        fake.pypi("foo", {"1.0": wheel(description="theirs")}, sidecars=True)
        gateway = await start(start_gateway, fake, merge=("foo",))
        ours = wheel(description="ours").build("foo", "1.0")
        await publish(gateway, ours, "foo", "1.0", await gateway.token())

        found = await get(gateway, sidecar_of(ours, address))

        assert list((await page(gateway, "foo")).files) == [ours.filename]
        assert found.body == ours.metadata


# ── metadata that the upstream does not offer ────────────────────────────────────────────────────────────────────
async def evict(gateway: Gateway) -> None:
    services = gateway.services
    await Housekeeping(services.blob_rows, services.hosted, services.cache).evict(0)


async def promised(gateway: Gateway, filename: str) -> object:
    return (await page(gateway, "foo")).files[filename].get("core-metadata")


async def test_metadata_of_a_large_wheel_that_was_fetched_is_listed_and_served(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        built, source = fake.pypi("foo", {"1.0": [wheel(description="Long.", size=LARGE), sdist()]})
        gateway = await start(start_gateway, fake)
        before = await promised(gateway, built.filename), await get(gateway, sidecar_of(built))

        for one in (built, source):
            await get(gateway, f"files/foo/{one.sha256}/{one.filename}")
        served = await get(gateway, sidecar_of(built))

        assert built.metadata is not None
        assert (before[0], before[1].status) == (None, 404)
        assert (served.status, served.body) == (200, built.metadata)
        assert await promised(gateway, built.filename) == {"sha256": hashlib.sha256(built.metadata).hexdigest()}
        assert await promised(gateway, source.filename) is None
        assert (await get(gateway, sidecar_of(built, OTHER))).status == 404
        assert fake.count(f"/files/{built.filename}.metadata") == 0


@pytest.mark.parametrize("is_size_known", [True, False])
async def test_a_small_wheel_is_listed_without_metadata(start_gateway: StartGateway, is_size_known: bool) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel()})
        if not is_size_known:
            link = f'<a href="{fake.url}files/{built.filename}#sha256={built.sha256}">{built.filename}</a>'
            fake.serve("/simple/foo/", link.encode(), "text/html")
        gateway = await start(start_gateway, fake)

        fetched = await get(gateway, f"files/foo/{built.sha256}/{built.filename}")

        assert (fetched.status, fetched.body) == (200, built.body)
        assert await promised(gateway, built.filename) is None
        assert (await get(gateway, sidecar_of(built))).status == 404


async def test_what_was_listed_once_is_taken_out_again_after_an_eviction(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (built,) = fake.pypi("foo", {"1.0": wheel(size=LARGE)})
        gateway = await start(start_gateway, fake)
        await get(gateway, f"files/foo/{built.sha256}/{built.filename}")
        listed = await promised(gateway, built.filename)
        await evict(gateway)

        still = await promised(gateway, built.filename)
        served = await get(gateway, sidecar_of(built))

        assert still == listed
        assert (served.status, served.body) == (200, built.metadata)


def wheel_with(metadata: bytes) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"METADATA": metadata, "WHEEL": b"", "RECORD": b""}.items():
            archive.writestr(f"foo-1.0.dist-info/{name}", content)
        archive.writestr("foo/ballast.bin", noise(LARGE, "foo"), zipfile.ZIP_STORED)
    return body.getvalue()


async def test_a_wheel_that_cannot_be_read_is_served_and_listed_without_metadata(start_gateway: StartGateway) -> None:
    other = wheel(size=LARGE).build("bar", "1.0").body
    bomb, liar = wheel_with(b"\0" * 9 * 1024 * 1024), wheel_with(b"Metadata-Version: 2.1\nName: bar\nVersion: 1.0\n")
    async with FaultyUpstream() as fake:
        gateway = await start(start_gateway, fake)
        for body in (noise(LARGE, "no archive"), other, bomb, liar):
            filename, sha256 = "foo-1.0-py3-none-any.whl", hashlib.sha256(body).hexdigest()
            link = f'<a href="{fake.url}files/{filename}#sha256={sha256}">{filename}</a>'
            fake.serve("/simple/foo/", link.encode(), "text/html")
            fake.serve(f"/files/{filename}", body)
            await gateway.services.document_rows.purge("fake")

            served = await get(gateway, f"files/foo/{sha256}/{filename}")

            assert (served.status, served.body) == (200, body)
            assert await promised(gateway, filename) is None
            assert (await get(gateway, f"files/foo/{sha256}/{filename}.metadata")).status == 404


async def test_of_a_large_wheel_without_any_hash_the_metadata_is_listed_with_its_hash(
    start_gateway: StartGateway,
) -> None:
    built = wheel(size=LARGE).build("foo", "1.0")
    async with FaultyUpstream() as fake:
        link = f'<a href="{fake.url}files/{built.filename}">{built.filename}</a>'
        fake.serve("/simple/foo/", link.encode(), "text/html")
        fake.serve(f"/files/{built.filename}", built.body)
        gateway = await start(start_gateway, fake)

        await get(gateway, f"files/foo/-/{built.filename}")

        (file,) = (await page(gateway, "foo")).files.values()
        assert file["hashes"] == {"sha256": built.sha256}
        assert file["core-metadata"] == {"sha256": hashlib.sha256(built.metadata or b"").hexdigest()}
        assert (await get(gateway, sidecar_of(built))).body == built.metadata
