"""Every address by which clients reach one repository, each with the client that makes it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.containers import Account, Machine, digest_pushed
from tests.clients.daemons import Dockerd
from tests.clients.gateway import WRITE, Gateway
from tests.fakes.containers import ContainerUpstream
from tests.fakes.images import Image, image

pytestmark = pytest.mark.client

ELSEWHERE = "mirrored.invalid"
NATIVE = ("--plain-http", "--snapshotter", "native")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, images: ContainerUpstream) -> Iterator[Gateway]:
    """acme/hub stands in for a registry that is not there, and is all that `localhost` serves. acme/app is private."""
    hub = {
        "layers": ["fake"],
        "visibility": "public",
        "hosts": ["localhost"],
        "settings": {"namespaces": [ELSEWHERE]},
    }
    upstreams = {"fake": {"type": "container", "url": images.url}}
    repositories = {"container": {"acme/hub": hub, "acme/app": {"layers": ["hosted"]}}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def tool(images: ContainerUpstream) -> Image:
    """`library/tool:1` of the upstream."""
    return images.push("library/tool", image({"hello": b"by every root\n"}), "1")


def hosts_toml(machine: Machine, namespace: str, text: str) -> Path:
    """A containerd hosts directory with one file for this namespace."""
    folder = machine.world.home / "hosts" / namespace
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text(text)
    return folder.parent


def test_docker_names_the_repository_in_the_image(machine: Machine, gateway: Gateway, tool: Image) -> None:
    for kind in ("container", "docker", "containers"):
        pulled = machine.docker("pull", f"127.0.0.1:{gateway.port}/{kind}/acme/hub/library/tool:1").succeeded()

        assert digest_pushed(pulled) == tool.digest


@pytest.mark.parametrize("root", ["container/acme/hub/v2", "v2/container/acme/hub"])
def test_containerd_overrides_the_path(machine: Machine, gateway: Gateway, tool: Image, root: str) -> None:
    host = f'[host."{gateway.url}/{root}"]\ncapabilities = ["pull", "resolve"]\noverride_path = true\n'
    hosts = hosts_toml(machine, ELSEWHERE, host)

    machine.ctr("pull", *NATIVE, "--hosts-dir", hosts, f"{ELSEWHERE}/library/tool:1").succeeded()

    assert tool.digest in machine.ctr("list").stdout
    machine.ctr("remove", f"{ELSEWHERE}/library/tool:1").succeeded()


@pytest.mark.parametrize("root", ["container/acme/app/v2", "v2/container/acme/app"])
def test_containerd_signs_in_where_the_root_sends_it(machine: Machine, gateway: Gateway, root: str) -> None:
    owner = Account("acme", gateway.token("acme", WRITE))
    machine.podman_login(f"127.0.0.1:{gateway.port}", owner).succeeded()
    name = f"127.0.0.1:{gateway.port}/container/acme/app/team/tool:1"
    machine.copy(machine.folder_of(image({"hello": b"private\n"})), f"docker://{name}").succeeded()
    host = f'[host."{gateway.url}/{root}"]\ncapabilities = ["pull", "resolve"]\noverride_path = true\n'
    hosts = hosts_toml(machine, ELSEWHERE, host)
    options = (*NATIVE, "--hosts-dir", hosts)

    machine.ctr("pull", *options, f"{ELSEWHERE}/team/tool:1").failed()
    machine.ctr("pull", *options, "-u", owner.pair, f"{ELSEWHERE}/team/tool:1").succeeded()

    machine.ctr("remove", f"{ELSEWHERE}/team/tool:1").succeeded()


def test_containerd_names_the_registry_that_it_wants(
    machine: Machine, gateway: Gateway, tool: Image, images: ContainerUpstream
) -> None:
    hosts = hosts_toml(machine, "_default", f'[host."{gateway.url}"]\ncapabilities = ["pull", "resolve"]\n')

    machine.ctr("pull", *NATIVE, "--hosts-dir", hosts, f"{ELSEWHERE}/library/tool:1").succeeded()

    assert tool.digest in machine.ctr("list").stdout
    machine.ctr("remove", f"{ELSEWHERE}/library/tool:1").succeeded()


def test_containerd_goes_on_where_nobody_stands_in_for_a_registry(
    machine: Machine, gateway: Gateway, images: ContainerUpstream
) -> None:
    images.push("library/direct", image({"hello": b"direct\n"}), "1")
    hosts = hosts_toml(machine, "_default", f'[host."{gateway.url}"]\ncapabilities = ["pull", "resolve"]\n')
    images.forget()

    machine.ctr("pull", *NATIVE, "--hosts-dir", hosts, f"{images.authority}/library/direct:1").succeeded()

    agents = {seen.headers["user-agent"].partition("/")[0] for seen in images.asked_for("library/direct")}
    assert agents == {"containerd"}


def test_podman_uses_a_mirror(machine: Machine, gateway: Gateway, tool: Image) -> None:
    machine.configure_registries(
        f'[[registry]]\nprefix = "{ELSEWHERE}"\nlocation = "{ELSEWHERE}"\n'
        f'[[registry.mirror]]\nlocation = "127.0.0.1:{gateway.port}/container/acme/hub"\ninsecure = true\n'
    )

    machine.world.run("podman", "pull", f"{ELSEWHERE}/library/tool:1").succeeded()

    seen = machine.world.run("podman", "image", "inspect", "--format", "{{.Digest}}", f"{ELSEWHERE}/library/tool:1")
    assert seen.succeeded().stdout.strip() == tool.digest


def test_an_old_dockerd_uses_a_host_of_its_own_and_its_credentials_for_elsewhere_are_not_kept(
    machine: Machine, gateway: Gateway, dockerd: Dockerd, tool: Image
) -> None:
    secret = base64.b64encode(b"somebody:their-secret").decode()
    public = {"https://index.docker.io/v1/": {"auth": secret}}  # by this name the CLI keeps them
    (machine.world.home / ".docker" / "config.json").write_text(json.dumps({"auths": public}))
    dockerd.use_mirrors(f"http://localhost:{gateway.port}/")
    try:
        pulled = machine.docker("pull", "tool:1").succeeded()
    finally:
        dockerd.use_mirrors()

    assert digest_pushed(pulled) == tool.digest
    assert "their-secret" not in gateway.log
    assert secret not in gateway.log
