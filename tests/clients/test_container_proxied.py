"""Images of upstream registries through the gateway: cold, warm, with the upstream wrong or gone, and never for our names."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.containers import Account, Machine, digest_pushed
from tests.clients.daemons import DebianRegistry
from tests.clients.gateway import WRITE, Gateway
from tests.clients.tools import World
from tests.fakes.artifacts import noise
from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import Fault, answer, corrupt, down, limited, truncate
from tests.fakes.images import DOCKER_LIST, DOCKER_MANIFEST, artifact, image, index

pytestmark = pytest.mark.client

BIG = 500_000_000


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, images: ContainerUpstream, debian_registry: DebianRegistry
) -> Iterator[Gateway]:
    """acme/hub asks the fake, acme/debian a real registry, acme/eager the fake again for every tag."""
    images.etags = False  # it would hash the large layer in its only thread, while others wait
    repositories = {
        "container": {
            "acme/hub": {"layers": ["hosted", "fake"], "visibility": "public", "reserve": ["corp/**"]},
            "acme/eager": {"layers": ["eager"], "visibility": "public"},
            "acme/debian": {"layers": ["debian"], "visibility": "public"},
        }
    }
    quick = {"type": "container", "retries": 0, "connect_timeout": 2.0}
    upstreams = {
        "fake": {**quick, "url": images.url, "negative_ttl": 0.1},
        "eager": {**quick, "url": images.url, "max_age": 0.0},
        "debian": {**quick, "url": debian_registry.url},
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.fixture
def hub(gateway: Gateway, images: ContainerUpstream) -> Iterator[str]:
    """The address of acme/hub. Afterwards the fake is well again."""
    yield f"127.0.0.1:{gateway.port}/container/acme/hub"
    images.heal()


def test_docker_pulls_an_image_and_the_upstream_is_asked_once_for_each_part(
    machine: Machine, hub: str, images: ContainerUpstream
) -> None:
    one = images.push("library/tool", image({"hello": b"proxied\n"}), "1")

    pulled = [digest_pushed(machine.docker("pull", f"{hub}/library/tool:1").succeeded())]
    machine.docker("rmi", f"{hub}/library/tool:1").succeeded()
    pulled.append(digest_pushed(machine.docker("pull", f"{hub}/library/tool:1").succeeded()))

    assert pulled == [one.digest] * 2
    for digest in one.blobs:
        assert images.count(images.blob_path("library/tool", digest), "GET") == 1
    manifests = [seen for seen in images.asked_for("library/tool/manifests/") if seen.method == "GET"]
    assert len([seen for seen in manifests if "authorization" in seen.headers]) == 1


def test_an_index_of_a_real_registry_comes_through_without_a_changed_byte(
    machine: Machine, gateway: Gateway, debian_registry: DebianRegistry
) -> None:
    kind = {"media_type": DOCKER_MANIFEST}
    two = image({"a": b"1"}, **kind), image({"a": b"2"}, architecture="arm64", **kind)
    both = index(*two, media_type=DOCKER_LIST)
    machine.copy(machine.folder_of(both), f"docker://{debian_registry.address}/tools/both:1").succeeded()
    through = f"127.0.0.1:{gateway.port}/container/acme/debian/tools/both:1"

    machine.copy(f"docker://{through}", f"dir:{machine.world.work / 'out'}").succeeded()

    assert machine.digest(through) == both.digest
    names = {file.name.removesuffix(".manifest.json") for file in (machine.world.work / "out").iterdir()}
    assert {one.digest.partition(":")[2] for one in two} <= names


@pytest.mark.parametrize("fault", [down(), answer(500), limited("30")], ids=["down", "500", "429"])
def test_with_the_upstream_gone_a_tag_that_was_pulled_still_pulls(
    machine: Machine, gateway: Gateway, images: ContainerUpstream, fault: Fault
) -> None:
    name = f"library/kept-{fault.kind}{fault.status}"
    one = images.push(name, image({"hello": name.encode()}), "1")
    address = f"127.0.0.1:{gateway.port}/container/acme/eager/{name}:1"
    machine.podman("pull", address).succeeded()
    machine.world.run("podman", "rmi", "-f", address).succeeded()
    images.fault(fault)

    machine.podman("pull", address).succeeded()
    digest = machine.digest(address)
    images.heal()

    assert digest == one.digest


def test_an_upstream_without_patience_is_passed_on(machine: Machine, hub: str, images: ContainerUpstream) -> None:
    images.push("library/limited", image({"hello": b"limited\n"}), "1")
    images.fault(limited("1"), images.manifest_path("library/limited", "1"))

    refused = machine.docker("pull", f"{hub}/library/limited:1").failed()

    assert "toomanyrequests" in refused.text.lower() or "429" in refused.text


def test_a_corrupted_byte_reaches_nobody_and_is_not_kept(
    machine: Machine, hub: str, images: ContainerUpstream, tmp_path: Path
) -> None:
    one = images.push("library/bent", image({"hello": b"bent\n"}, size=300_000), "1")
    path = images.blob_path("library/bent", one.layers[0])
    images.fault(corrupt(), path)

    machine.copy(f"docker://{hub}/library/bent:1", f"dir:{tmp_path / 'out'}").failed()
    images.heal(path)
    pulled = machine.docker("pull", f"{hub}/library/bent:1").succeeded()

    assert digest_pushed(pulled) == one.digest


def test_a_layer_that_breaks_off_is_taken_up_again(machine: Machine, hub: str, images: ContainerUpstream) -> None:
    one = images.push("library/torn", image({"hello": b"torn\n"}, size=3_000_000), "1")
    path = images.blob_path("library/torn", one.layers[0])
    images.fault(truncate(times=1), path)

    machine.docker("pull", f"{hub}/library/torn:1").succeeded()

    assert "range" in [seen for seen in images.seen if seen.plain_path == path][-1].headers


def test_ten_clients_on_one_cold_layer_make_one_request(
    machine: Machine, hub: str, images: ContainerUpstream, tmp_path: Path
) -> None:
    one = images.push("library/big", artifact("application/vnd.example.big", noise(BIG, "big")), "1")
    machines = [Machine(World(tmp_path / f"client{number}")) for number in range(10)]

    def pull(client: Machine) -> int:
        ran = client.copy(f"docker://{hub}/library/big:1", f"dir:{client.world.work / 'out'}").succeeded()
        return ran.code + sum(file.stat().st_size for file in (client.world.work / "out").iterdir())

    with ThreadPoolExecutor(10) as together:
        sizes = set(together.map(pull, machines))

    assert len(sizes) == 1
    assert sizes.pop() >= BIG
    assert images.count(images.blob_path("library/big", one.layers[0]), "GET") == 1
    images.remove(images.blob_path("library/big", one.layers[0]))


def test_a_name_of_ours_never_reaches_the_upstream(
    machine: Machine, gateway: Gateway, hub: str, images: ContainerUpstream
) -> None:
    for name in ("corp/secret", "mine"):
        images.push(name, image({"hello": b"evil\n"}), "1", "2")
    writer = Account("acme", gateway.token("acme", WRITE))
    machine.podman_login(f"127.0.0.1:{gateway.port}", writer).succeeded()
    ours = image({"hello": b"ours\n"})
    machine.copy(machine.folder_of(ours), f"docker://{hub}/corp/secret:1").succeeded()
    images.forget()

    assert machine.digest(f"{hub}/corp/secret:1") == ours.digest
    machine.docker("pull", f"{hub}/corp/secret:2").failed()
    machine.skopeo("inspect", "--tls-verify=false", f"docker://{hub}/corp/unknown:1").failed()

    assert images.asked_for("corp/") == []


def test_a_name_that_the_upstream_has_cannot_be_taken(
    machine: Machine, gateway: Gateway, hub: str, images: ContainerUpstream
) -> None:
    images.push("library/theirs", image({"hello": b"theirs\n"}), "1")
    machine.docker("pull", f"{hub}/library/theirs:1").succeeded()
    writer = Account("acme", gateway.token("acme", WRITE))
    machine.podman_login(f"127.0.0.1:{gateway.port}", writer).succeeded()

    ours = machine.folder_of(image({"hello": b"ours\n"}))
    refused = machine.copy(ours, f"docker://{hub}/library/theirs:1").failed()

    assert "denied" in refused.text.lower() or "403" in refused.text
