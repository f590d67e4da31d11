"""The fake container registry, asked by real clients: what they would believe of a real one they believe of it."""

import pytest

from tests.clients.containers import Machine, digest_pushed
from tests.clients.daemons import DebianRegistry
from tests.fakes.containers import ContainerUpstream
from tests.fakes.faults import corrupt
from tests.fakes.images import DOCKER_LIST, DOCKER_MANIFEST, image, index

pytestmark = pytest.mark.client


def test_docker_pulls_from_it_with_an_anonymous_token(machine: Machine, images: ContainerUpstream) -> None:
    pushed = images.push("library/tool", image({"hello": b"1\n"}, media_type=DOCKER_MANIFEST), "1")

    pulled = machine.docker("pull", f"{images.authority}/library/tool:1").succeeded()

    assert digest_pushed(pulled) == pushed.digest


def test_docker_refuses_what_it_corrupts(machine: Machine, images: ContainerUpstream) -> None:
    pushed = images.push("library/bent", image({"hello": b"2\n"}), "1")
    images.fault(corrupt(), images.blob_path("library/bent", pushed.layers[0]))

    machine.docker("pull", f"{images.authority}/library/bent:1").failed()


def test_skopeo_copies_an_index_from_it_into_a_real_registry(
    machine: Machine, images: ContainerUpstream, debian_registry: DebianRegistry
) -> None:
    kinds = {"media_type": DOCKER_MANIFEST}
    both = index(image({"a": b"1"}, **kinds), image({"a": b"2"}, architecture="arm64", **kinds), media_type=DOCKER_LIST)
    images.push("library/both", both, "1")
    target = f"{debian_registry.address}/library/both:1"

    machine.copy(f"docker://{images.authority}/library/both:1", f"docker://{target}").succeeded()

    assert machine.digest(target) == both.digest


def test_ctr_pulls_from_it(machine: Machine, images: ContainerUpstream) -> None:
    images.push("library/plain", image({"hello": b"3\n"}), "1")
    plain = ("--plain-http", "--snapshotter", "native")

    machine.ctr("pull", *plain, f"{images.authority}/library/plain:1").succeeded()
