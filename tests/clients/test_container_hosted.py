"""podman, buildah, skopeo, containerd and oras-py against hosted images: each pushes, and each pulls what others pushed."""

import json
from collections.abc import Iterator

import pytest

from tests.clients.containers import Account, Machine
from tests.clients.gateway import DELETE, WRITE, Gateway
from tests.fakes.artifacts import noise
from tests.fakes.images import DOCKER_LIST, DOCKER_MANIFEST, digest_of, image, index

pytestmark = pytest.mark.client

NATIVE = ("--plain-http", "--snapshotter", "native")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    repositories = {"container": {"acme/app": {"layers": ["hosted"]}, "acme/other": {"layers": ["hosted"]}}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def writer(gateway: Gateway) -> Account:
    return Account("acme", gateway.token("acme", WRITE))


@pytest.fixture
def app(gateway: Gateway, writer: Account, machine: Machine) -> str:
    """The address of the repository; podman, buildah and skopeo are logged in."""
    machine.podman_login(f"127.0.0.1:{gateway.port}", writer).succeeded()
    return f"127.0.0.1:{gateway.port}/container/acme/app"


def test_podman_builds_pushes_and_pulls(machine: Machine, app: str) -> None:
    name = f"{app}/pod:1"
    machine.podman("build", "-t", name, machine.context({"hello": b"pod\n"})).succeeded()

    machine.podman("push", name).succeeded()
    machine.world.run("podman", "rmi", "-f", name).succeeded()
    machine.podman("pull", name).succeeded()

    assert machine.world.run("podman", "image", "exists", name).code == 0


def test_podman_is_told_that_a_token_is_wrong(machine: Machine, gateway: Gateway) -> None:
    refused = machine.podman_login(f"127.0.0.1:{gateway.port}", Account("acme", "ent_wrong")).failed()

    assert "invalid username/password" in refused.text


def test_buildah_pushes_an_image_and_a_manifest_list(machine: Machine, app: str, writer: Account) -> None:
    name = f"{app}/bud:1"
    machine.buildah("bud", "--isolation", "chroot", "-t", name, machine.context({"hello": b"bud\n"})).succeeded()
    machine.buildah("push", "--tls-verify=false", name).succeeded()
    machine.buildah("manifest", "create", "both").succeeded()
    machine.buildah("manifest", "add", "both", f"containers-storage:{name}").succeeded()

    machine.buildah("manifest", "push", "--all", "--tls-verify=false", "both", f"docker://{app}/both:1").succeeded()

    listed = machine.skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{app}/both:1").succeeded()
    assert len(json.loads(listed.stdout)["manifests"]) == 1


@pytest.mark.parametrize(("manifest", "listing"), [(None, None), (DOCKER_MANIFEST, DOCKER_LIST)], ids=["oci", "docker"])
def test_skopeo_copies_an_index_in_and_out_without_changing_a_byte(
    machine: Machine, app: str, manifest: str | None, listing: str | None
) -> None:
    kind = {} if manifest is None else {"media_type": manifest}
    two = [image({"a": b"1"}, **kind), image({"a": b"2"}, architecture="arm64", **kind)]
    both = index(*two) if listing is None else index(*two, media_type=listing)
    name = f"{app}/both-{'oci' if listing is None else 'docker'}:1"
    out = machine.world.work / "out"

    machine.copy(machine.folder_of(both), f"docker://{name}").succeeded()
    machine.copy(f"docker://{name}", f"dir:{out}").succeeded()

    assert machine.digest(name) == both.digest
    assert digest_of((out / "manifest.json").read_bytes()) == both.digest
    copied = {digest_of(file.read_bytes()) for file in out.iterdir()}
    assert {one.digest for one in both.everything} | {d for one in two for d in one.blobs} <= copied


def test_skopeo_copies_from_one_repository_to_another(machine: Machine, app: str) -> None:
    one = image({"a": b"moved"})
    machine.copy(machine.folder_of(one), f"docker://{app}/moved:1").succeeded()
    other = app.replace("/app", "/other")

    machine.copy(f"docker://{app}/moved:1", f"docker://{other}/moved:1").succeeded()

    assert machine.digest(f"{other}/moved:1") == one.digest


def test_skopeo_syncs_every_tag(machine: Machine, app: str) -> None:
    for tag in ("1", "2"):
        one = image({"a": tag.encode()})
        machine.copy(machine.folder_of(one, f"image{tag}"), f"docker://{app}/synced:{tag}").succeeded()
    target = machine.world.work / "synced"

    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    machine.skopeo("sync", *plain, "--src", "docker", "--dest", "dir", f"{app}/synced", target).succeeded()
    again = f"{app}/again"
    machine.skopeo("sync", *plain, "--src", "dir", "--dest", "docker", target, again).succeeded()

    assert sorted(folder.name for folder in target.iterdir()) == ["synced:1", "synced:2"]
    tags = machine.skopeo("list-tags", "--tls-verify=false", f"docker://{again}/synced").succeeded()
    assert json.loads(tags.stdout)["Tags"] == ["1", "2"]


def test_skopeo_deletes_only_with_the_right_to(machine: Machine, gateway: Gateway, app: str) -> None:
    name = f"docker://{app}/doomed:1"
    machine.copy(machine.folder_of(image({"a": b"doomed"})), name).succeeded()

    refused = machine.skopeo("delete", "--tls-verify=false", name).failed()
    machine.skopeo("inspect", "--tls-verify=false", name).succeeded()
    remover = Account("acme", gateway.token("acme", DELETE))
    machine.skopeo("delete", "--tls-verify=false", "--creds", remover.pair, name).succeeded()

    assert "denied" in refused.text.lower() or "403" in refused.text or "unauthorized" in refused.text
    machine.skopeo("inspect", "--tls-verify=false", name).failed()


def test_ctr_pulls_what_skopeo_pushed_and_pushes_it_again(machine: Machine, app: str, writer: Account) -> None:
    one = image({"a": b"ctr"})
    machine.copy(machine.folder_of(one), f"docker://{app}/one:1").succeeded()

    machine.ctr("pull", *NATIVE, "-u", writer.pair, f"{app}/one:1").succeeded()
    machine.ctr("tag", f"{app}/one:1", f"{app}/two:1").succeeded()
    machine.ctr("push", "--plain-http", "-u", writer.pair, f"{app}/two:1").succeeded()

    assert machine.digest(f"{app}/two:1") == one.digest


def test_ctr_is_refused_without_a_token(machine: Machine, app: str) -> None:
    machine.copy(machine.folder_of(image({"a": b"closed"})), f"docker://{app}/closed:1").succeeded()

    machine.ctr("pull", *NATIVE, f"{app}/closed:1").failed()


def test_oras_sends_a_file_in_chunks_and_gets_it_back(machine: Machine, app: str, writer: Account) -> None:
    content = noise(5_000_000, "oras")
    (machine.world.work / "big.bin").write_bytes(content)

    machine.oras("push", f"{app}/files:1", machine.world.work / "big.bin", writer).succeeded()
    machine.oras("pull", f"{app}/files:1", machine.world.work / "pulled", writer).succeeded()

    (pulled,) = (file for file in (machine.world.work / "pulled").rglob("big.bin"))
    assert pulled.read_bytes() == content
