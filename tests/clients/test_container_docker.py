"""dockerd and its CLI against hosted images: login, build, push, pull, by tag and by digest, with and without rights."""

import json
from collections.abc import Iterator

import pytest

from tests.clients.containers import Account, Machine, digest_pushed
from tests.clients.gateway import READ, WRITE, Gateway

pytestmark = pytest.mark.client

FILES = {"hello": b"hello from a container\n"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    repositories = {
        "container": {
            "acme/app": {"layers": ["hosted"]},
            "acme/open": {"layers": ["hosted"], "visibility": "public"},
            "acme/firm": {"layers": ["hosted"], "settings": {"immutable": ["v*"]}},
        }
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def ada(gateway: Gateway) -> Account:
    """The owner, who may write."""
    return Account("acme", gateway.token("acme", WRITE))


def test_a_right_token_logs_in_and_a_wrong_one_does_not(machine: Machine, gateway: Gateway, ada: Account) -> None:
    authority = f"127.0.0.1:{gateway.port}"

    wrong = machine.docker_login(authority, Account("acme", "ent_wrong")).failed()
    right = machine.docker_login(authority, ada).succeeded()

    assert "unauthorized" in wrong.text
    assert "Login Succeeded" in right.text


def test_what_docker_builds_and_pushes_docker_pulls_again(machine: Machine, gateway: Gateway, ada: Account) -> None:
    name = f"127.0.0.1:{gateway.port}/container/acme/app/hello"
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", f"{name}:1", machine.context(FILES)).succeeded()

    digest = digest_pushed(machine.docker("push", f"{name}:1").succeeded())
    machine.docker("rmi", f"{name}:1").succeeded()
    by_tag = machine.docker("pull", f"{name}:1").succeeded()
    machine.docker("rmi", f"{name}:1").succeeded()
    machine.docker("pull", f"{name}@{digest}").succeeded()

    assert digest_pushed(by_tag) == digest == machine.digest(f"{name}:1")  # skopeo uses docker's login


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_docker_builds_on_an_image_that_is_hosted_here(
    machine: Machine, gateway: Gateway, ada: Account, buildkit: str
) -> None:
    base, name = (f"127.0.0.1:{gateway.port}/container/acme/app/{part}{buildkit}" for part in ("base", "built"))
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", base, machine.context({"below": b"below %s\n" % buildkit.encode()})).succeeded()
    digest = digest_pushed(machine.docker("push", base).succeeded())
    machine.docker("rmi", base).succeeded()
    context = machine.context({"above": b"above\n"}, f"{base}@{digest}")

    machine.docker("build", "-t", name, context, DOCKER_BUILDKIT=buildkit).succeeded()
    pushed = digest_pushed(machine.docker("push", name).succeeded())

    layers = [
        json.loads(gateway.get(f"/v2/{image.partition('/')[2]}/manifests/{reference}", token=ada.token)[1])["layers"]
        for image, reference in ((base, digest), (name, pushed))
    ]
    assert layers[0] == layers[1][:1]
    assert len(layers[1]) == 2


def test_nobody_builds_on_an_image_that_they_may_not_read(machine: Machine, gateway: Gateway, ada: Account) -> None:
    base = f"127.0.0.1:{gateway.port}/container/acme/app/kept"
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", base, machine.context({"kept": b"kept\n"})).succeeded()
    machine.docker("push", base).succeeded()
    machine.docker("rmi", base).succeeded()
    machine.docker("logout", f"127.0.0.1:{gateway.port}").succeeded()

    refused = machine.docker("build", machine.context({"above": b"above\n"}, base)).failed()

    assert "denied" in refused.text or "unauthorized" in refused.text


def test_an_image_is_mounted_rather_than_sent_again(machine: Machine, gateway: Gateway, ada: Account) -> None:
    names = [f"127.0.0.1:{gateway.port}/container/acme/app/{name}" for name in ("first", "second")]
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", names[0], machine.context({"hello": b"mounted\n"})).succeeded()
    machine.docker("tag", names[0], names[1]).succeeded()

    machine.docker("push", names[0]).succeeded()
    again = machine.docker("push", names[1]).succeeded()

    assert "Mounted from container/acme/app/first" in again.text


def test_a_public_image_needs_no_login_and_a_push_does(machine: Machine, gateway: Gateway, ada: Account) -> None:
    authority = f"127.0.0.1:{gateway.port}"
    name = f"{authority}/container/acme/open/hello"
    machine.docker_login(authority, ada).succeeded()
    machine.docker("build", "-t", name, machine.context({"hello": b"open\n"})).succeeded()
    machine.docker("push", name).succeeded()
    machine.docker("logout", authority).succeeded()
    machine.docker("tag", name, f"{name}:mine").succeeded()

    refused = machine.docker("push", f"{name}:mine").failed()
    machine.docker("rmi", name, f"{name}:mine").succeeded()
    machine.docker("pull", name).succeeded()

    assert "denied" in refused.text or "unauthorized" in refused.text
    assert gateway.get("/v2/container/acme/open/hello/manifests/mine", token=ada.token)[0] == 404


def test_who_may_only_read_pulls_and_is_told_why_a_push_fails(machine: Machine, gateway: Gateway, ada: Account) -> None:
    authority = f"127.0.0.1:{gateway.port}"
    name = f"{authority}/container/acme/app/readable"
    reader = Account("acme", gateway.token("acme", READ))
    machine.docker_login(authority, ada).succeeded()
    machine.docker("build", "-t", name, machine.context({"hello": b"readable\n"})).succeeded()
    machine.docker("push", name).succeeded()
    machine.docker_login(authority, reader).succeeded()
    machine.docker("tag", name, f"{name}:mine").succeeded()

    refused = machine.docker("push", f"{name}:mine").failed()
    machine.docker("pull", name).succeeded()

    assert "denied" in refused.text


def test_a_login_keeps_no_password_and_ends_with_the_token(machine: Machine, gateway: Gateway) -> None:
    authority = f"127.0.0.1:{gateway.port}"
    name = f"{authority}/container/acme/app/short"
    login = Account("acme", gateway.token("acme", WRITE, "--name", "short-lived"))
    machine.docker_login(authority, login).succeeded()
    config = json.loads((machine.world.home / ".docker" / "config.json").read_text())
    machine.docker("build", "-t", name, machine.context({"hello": b"short\n"})).succeeded()
    machine.docker("push", name).succeeded()

    listed = gateway.cli("token", "list", "--user", "acme", "--data", str(gateway.data)).succeeded().stdout
    number = next(line.split()[0] for line in listed.splitlines() if "short-lived" in line)
    gateway.cli("token", "revoke", number, "--data", str(gateway.data)).succeeded()
    refused = machine.docker("push", f"{name}").failed()

    assert "identitytoken" in config["auths"][authority]
    assert login.token not in json.dumps(config)
    assert "unauthorized" in refused.text or "denied" in refused.text


def test_a_tag_that_must_not_move_stays_and_docker_says_why(machine: Machine, gateway: Gateway, ada: Account) -> None:
    name = f"127.0.0.1:{gateway.port}/container/acme/firm/release:v1"
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", name, machine.context({"hello": b"first\n"})).succeeded()
    first = digest_pushed(machine.docker("push", name).succeeded())

    again = digest_pushed(machine.docker("push", name).succeeded())
    machine.docker("build", "-t", name, machine.context({"hello": b"second\n"})).succeeded()
    refused = machine.docker("push", name).failed()

    assert again == first == machine.digest(name)
    assert "denied" in refused.text
    assert first in refused.text


def test_buildkit_pushes_what_it_builds(machine: Machine, gateway: Gateway, ada: Account) -> None:
    name = f"127.0.0.1:{gateway.port}/container/acme/app/kit"
    machine.docker_login(f"127.0.0.1:{gateway.port}", ada).succeeded()
    machine.docker("build", "-t", name, machine.context({"hello": b"kit\n"}), DOCKER_BUILDKIT="1").succeeded()

    digest = digest_pushed(machine.docker("push", name).succeeded())

    assert gateway.get(f"/v2/container/acme/app/kit/manifests/{digest}", token=ada.token)[0] == 200
