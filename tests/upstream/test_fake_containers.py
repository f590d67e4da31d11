"""The fake container registry itself: its images are whole, and it lets in whom the token service let in."""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping

import aiohttp
import pytest

from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import Fault, answer, corrupt
from tests.fakes.images import OCI_INDEX, artifact, digest_of, image, index
from tests.fakes.upstream import FaultyUpstream

BASIC = "Basic " + base64.b64encode(b"robot:secret").decode()


async def get(fake: ContainerUpstream, path: str, authorization: str = "") -> tuple[int, Mapping[str, str], bytes]:
    headers = {"Authorization": authorization} if authorization else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(fake.url.rstrip("/") + path, headers=headers, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.read()


async def token_for(fake: ContainerUpstream, name: str, authorization: str = "") -> str:
    status, _, body = await get(fake, f"/token?scope=repository:{name}:pull", authorization)
    return f"Bearer {json.loads(body)['token']}" if status == 200 else ""


def test_an_image_names_the_digests_of_what_it_holds() -> None:
    made = image({"hello": b"hello\n"}, size=1000)
    config = json.loads(made.blobs[made.document["config"]["digest"]])

    assert all(digest_of(blob) == digest for digest, blob in made.blobs.items())
    assert config["rootfs"]["diff_ids"] == [digest_of(gzip.decompress(made.blobs[layer])) for layer in made.layers]
    assert image({"hello": b"hello\n"}, size=1000) == made


def test_an_index_lists_each_platform() -> None:
    made = index(image({"a": b"1"}), image({"a": b"2"}, architecture="arm64"))

    assert [one["platform"]["architecture"] for one in made.document["manifests"]] == ["amd64", "arm64"]
    assert [one.digest for one in made.everything][:-1] == [one["digest"] for one in made.document["manifests"]]


async def test_a_token_of_one_name_opens_that_name_only() -> None:
    async with ContainerUpstream() as fake:
        one, other = fake.push("acme/one", image({"a": b"1"}), "1"), fake.push("acme/two", image({"a": b"2"}), "1")
        token = await token_for(fake, "acme/one")

        status, headers, body = await get(fake, "/v2/acme/one/manifests/1", token)
        refused, challenge, _ = await get(fake, "/v2/acme/two/manifests/1", token)

        assert (status, body) == (200, one.body)
        assert headers["Docker-Content-Digest"] == one.digest != other.digest
        assert refused == 401
        assert 'scope="repository:acme/two:pull"' in challenge["WWW-Authenticate"]


async def test_credentials_are_asked_for_by_the_token_service() -> None:
    async with ContainerUpstream() as fake:
        fake.credentials = ("robot", "secret")

        assert await token_for(fake, "acme/one") == ""
        assert await token_for(fake, "acme/one", BASIC) != ""


async def test_a_blob_can_live_on_another_host() -> None:
    async with ContainerUpstream() as fake, FaultyUpstream() as other:
        made = fake.push("acme/one", image({"a": b"1"}), "1")
        path = fake.blob_path("acme/one", made.layers[0])
        fake.blobs_at(other)

        unknown, _, _ = await get(fake, path)
        status, headers, _ = await get(fake, path, await token_for(fake, "acme/one"))

        assert (unknown, status) == (401, 307)
        assert headers["Location"] == other.url.rstrip("/") + path
        async with aiohttp.ClientSession() as session, session.get(headers["Location"]) as response:
            assert hashlib.sha256(await response.read()).hexdigest() == made.layers[0].partition(":")[2]


@pytest.mark.parametrize(("fault", "status"), [(answer(500), 500), (corrupt(), 401)], ids=["trouble", "corrupt"])
async def test_trouble_comes_before_the_question_who_asks(fault: Fault, status: int) -> None:
    async with ContainerUpstream() as fake:
        fake.push("acme/one", image({"a": b"1"}), "1")
        fake.fault(fault)

        assert (await get(fake, "/v2/acme/one/manifests/1"))[0] == status


async def test_referrers_are_listed_with_their_types() -> None:
    async with ContainerUpstream() as fake:
        fake.challenges = False
        made = fake.push("acme/one", image({"a": b"1"}), "1")
        fake.attach("acme/one", made.digest, artifact("application/example", b"s", subject=made.described()))

        _, headers, body = await get(fake, f"/v2/acme/one/referrers/{made.digest}")

        assert headers["Content-Type"] == OCI_INDEX
        assert [one["artifactType"] for one in json.loads(body)["manifests"]] == ["application/example"]
