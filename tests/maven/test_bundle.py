"""The portal's API: a bundle is published as a whole or not at all."""

import base64
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from gateway.config import ServerConfig
from tests.conftest import Reply, StartGateway, private
from tests.fakes.artifacts import zip_of
from tests.fakes.maven import folder, library, pom
from tests.maven.asking import ALGORITHMS, Client, hex_of

API = "-/api/v1/publisher/"


def bundle_of(*names: str, version: str = "1.0", more: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name in names:
        made = library().build(name, version)
        stem = folder(name, version) + made.filename.removesuffix(".jar")
        files |= {f"{stem}.pom": made.metadata or b"", f"{stem}.jar": made.body, f"{stem}.jar.asc": b"signature"}
    sums = {f"{path}.{a}": hex_of(body, a).encode() for path, body in files.items() for a in ALGORITHMS}
    return {**files, **sums, **(more or {})}


async def send(client: Client, body: bytes, kind: str = "AUTOMATIC", **headers: str) -> Reply:
    form = aiohttp.FormData()
    form.add_field("bundle", io.BytesIO(body), filename="bundle.zip", content_type="application/octet-stream")
    return await client.ask("POST", f"{API}upload?name=rel&publishingType={kind}", data=form, **headers)


async def state(client: Client, sent: Reply) -> dict[str, Any]:
    assert sent.status == 201, sent.body
    told: dict[str, Any] = await (await client.ask("POST", f"{API}status?id={await sent.text()}")).json()
    return told


async def test_a_good_bundle_is_published_at_once_with_everything_in_it(jvm: Client) -> None:
    files = bundle_of("com.acme:tool", "com.acme:other")

    told = await state(jvm, await send(jvm, zip_of(files)))

    assert (told["deploymentState"], told["deploymentName"], told["errors"]) == ("PUBLISHED", "rel", {})
    assert told["purls"] == ["pkg:maven/com.acme/other@1.0", "pkg:maven/com.acme/tool@1.0"]
    for name in ("com.acme:tool", "com.acme:other"):
        assert await jvm.versions(name) == ["1.0"]
    for path, body in files.items():
        assert (await jvm.get(path)).body == body


@pytest.mark.parametrize(
    "fault",
    [
        {"com/acme/tool/1.0/tool-1.0.jar.sha1": b"0" * 40},
        {"com/acme/third/1.0/third-1.0.jar": b"no zip"},
        {"com/acme/third/1.0/third-1.0.pom": pom("com.evil:third", "1.0")},
        {"com/acme/third/1.0/third-1.0.jar": zip_of({"a": b"b"})},
        {"com/acme/third/1.0-SNAPSHOT/third-1.0-SNAPSHOT.pom": pom("com.acme:third", "1.0-SNAPSHOT")},
        {"../../etc/passwd": b"x"},
        {"loose.txt": b"x"},
        {"com/acme/published/1.0/published-1.0.pom": pom("com.acme:published", "1.0", packaging="pom")},
        {"com/acme/Tool/1.0/Tool-1.0.pom": pom("com.acme:Tool", "1.0", packaging="pom")},
    ],
    ids=[
        "wrong checksum",
        "no jar",
        "other coordinates",
        "no pom",
        "snapshot",
        "outside",
        "loose",
        "published",
        "case",
    ],
)
async def test_one_fault_fails_all_of_it(jvm: Client, fault: dict[str, bytes]) -> None:
    await jvm.deploy("com.acme:published", "1.0")

    told = await state(jvm, await send(jvm, zip_of(bundle_of("com.acme:tool", more=fault))))

    assert told["deploymentState"] == "FAILED"
    assert told["errors"]
    assert await jvm.versions("com.acme:tool") == []
    assert (await jvm.get("com/acme/tool/1.0/tool-1.0.pom")).status == 404


@pytest.mark.parametrize("body", [b"", b"no zip", zip_of({}), zip_of(bundle_of("com.acme:tool"))[:-30]])
async def test_what_is_no_bundle_fails(jvm: Client, body: bytes) -> None:
    assert (await state(jvm, await send(jvm, body)))["deploymentState"] == "FAILED"


async def test_a_bundle_that_unpacks_to_more_than_it_may_is_not_unpacked(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        {"maven": {"acme/jvm": private("hosted")}}, server=ServerConfig(max_upload_size=1024**2)
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"com/acme/tool/1.0/tool-1.0-{i}.bin", b"\0" * 512 * 1024)

    jvm = Client(gateway, await gateway.token())
    told = await state(jvm, await send(jvm, packed.getvalue()))

    assert told["deploymentState"] == "FAILED"
    assert "more than" in str(told["errors"])


async def test_a_bundle_may_wait_for_a_person(jvm: Client) -> None:
    sent = await send(jvm, zip_of(bundle_of("com.acme:tool")), "USER_MANAGED")
    id_ = await sent.text()
    waiting = await state(jvm, sent)
    unseen = await jvm.versions("com.acme:tool")

    published = await jvm.ask("POST", f"{API}deployment/{id_}")

    assert (waiting["deploymentState"], unseen, published.status) == ("VALIDATED", [], 204)
    assert (await state(jvm, sent))["deploymentState"] == "PUBLISHED"
    assert await jvm.versions("com.acme:tool") == ["1.0"]
    assert (await jvm.ask("POST", f"{API}deployment/{id_}")).status == 409


async def test_a_waiting_bundle_can_be_dropped(jvm: Client) -> None:
    id_ = await (await send(jvm, zip_of(bundle_of("com.acme:tool")), "USER_MANAGED")).text()

    dropped = await jvm.ask("DELETE", f"{API}deployment/{id_}")

    assert dropped.status == 204
    assert (await jvm.ask("POST", f"{API}status?id={id_}")).status == 404
    assert await jvm.versions("com.acme:tool") == []


async def test_tools_for_the_portal_sign_in_with_user_and_token_in_base64(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted")}})
    token = await gateway.token()
    bearer = base64.b64encode(f"ada:{token}".encode()).decode()

    sent = await send(Client(gateway), zip_of(bundle_of("com.acme:tool")), Authorization=f"Bearer {bearer}")

    assert sent.status == 201
    assert (await send(Client(gateway), b"")).status == 401


async def test_a_bundle_needs_leave_for_every_package_in_it(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted")}})
    token = await gateway.token(packages=("com.acme:*",))

    sent = await send(Client(gateway, token), zip_of(bundle_of("com.acme:tool", "org.other:tool")))

    assert sent.status == 403
    assert await Client(gateway, token).versions("com.acme:tool") == []
