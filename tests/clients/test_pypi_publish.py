"""twine, uv, poetry, pdm, hatch and flit publish, and say in our words why they may not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.gateway import READ, WRITE, Gateway
from tests.clients.install import CLIENTS
from tests.clients.installers import installed_version, pip_install, uv_install
from tests.clients.publishers import PUBLISHERS, Project, make_project, twine
from tests.clients.tools import World, execute, tool
from tests.fakes.artifacts import wheel

pytestmark = pytest.mark.client

REPOSITORY = "pypi/acme/tools"
# pdm shows nothing but the status line, and hatch looks at the page before it uploads.
WITHOUT_WORDS = {"pdm"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a private hosted repository; every test publishes a name of its own."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, {"pypi": {"acme/tools": {"layers": ["hosted"]}}}, has_public_url=True) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def writer(gateway: Gateway) -> str:
    return gateway.token("acme", WRITE)


@pytest.fixture(params=PUBLISHERS)
def client(request: pytest.FixtureRequest) -> str:
    """Each tool that publishes; skips where it is missing."""
    name = str(request.param)
    tool(name)
    return name


def test_what_a_client_published_can_be_installed(client: str, gateway: Gateway, writer: str, world: World) -> None:
    project = make_project(world, f"acme-{client}")

    PUBLISHERS[client](world, project, gateway.base(REPOSITORY), writer).succeeded()

    pip_install(world, gateway.base(REPOSITORY, writer) + "simple/", f"{project.name}==1.0").succeeded()
    assert installed_version(world, project.module) == "1.0"
    status, page = gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer)
    assert status == 200
    assert b".whl" in page
    assert b".tar.gz" in page


def test_publishing_the_same_files_again_succeeds_and_changes_nothing(
    client: str, gateway: Gateway, writer: str, world: World
) -> None:
    project = make_project(world, f"again-{client}")
    address = gateway.base(REPOSITORY)
    PUBLISHERS[client](world, project, address, writer).succeeded()
    before = gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer)

    PUBLISHERS[client](world, project, address, writer).succeeded()

    assert gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer) == before


def test_other_bytes_under_a_published_name_are_refused_in_words(
    client: str, gateway: Gateway, writer: str, world: World
) -> None:
    project = make_project(world, f"changed-{client}", content="one")
    address = gateway.base(REPOSITORY)
    PUBLISHERS[client](world, project, address, writer).succeeded()
    before = gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer)
    changed = make_project(world, f"changed-{client}", content="two")

    ran = PUBLISHERS[client](world, changed, address, writer)

    assert gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer) == before
    if client == "hatch":  # it compares names with the page and does not upload
        assert "already exist" in ran.text
        return
    ran.failed()
    assert ("400" if client in WITHOUT_WORDS else "already exist") in ran.text


def test_a_read_only_token_is_refused_in_words(client: str, gateway: Gateway, world: World) -> None:
    project = make_project(world, f"denied-{client}")

    ran = PUBLISHERS[client](world, project, gateway.base(REPOSITORY), gateway.token("acme", READ)).failed()

    assert "403" in ran.text
    assert client in WITHOUT_WORDS or "write:packages" in ran.text


def test_an_expired_token_is_refused_in_words(client: str, gateway: Gateway, world: World) -> None:
    project = make_project(world, f"expired-{client}")
    expired = gateway.token("acme", WRITE, "--expires-in", "1e-9")

    ran = PUBLISHERS[client](world, project, gateway.base(REPOSITORY), expired).failed()

    assert "401" in ran.text or "expired" in ran.text
    assert client in WITHOUT_WORDS or "expired" in ran.text


@pytest.mark.parametrize("client", ["twine7", "uv"])
def test_a_large_upload_with_a_read_only_token_shows_the_refusal_and_not_a_broken_connection(
    client: str, gateway: Gateway, world: World
) -> None:
    tool(client)
    project = make_project(world, f"large-{client}")
    artifact = wheel(size=50_000_000).build(project.name, project.version)
    (project.folder / "dist" / artifact.filename).write_bytes(artifact.body)

    ran = PUBLISHERS[client](world, project, gateway.base(REPOSITORY), gateway.token("acme", READ)).failed()

    assert "403" in ran.text


@pytest.mark.parametrize("version", ["twine7", "twine6"])
def test_a_digest_that_does_not_agree_is_refused_and_nothing_is_kept(
    version: str, gateway: Gateway, writer: str, world: World
) -> None:
    tool(version)
    project = make_project(world, f"digest-{version}")
    lying = (
        "import sys, twine.package, twine.__main__\n"
        "honest = twine.package.HashManager.hexdigest\n"
        "twine.package.HashManager.hexdigest = lambda self: honest(self)._replace(sha2='0' * 64)\n"
        "sys.exit(twine.__main__.main())"
    )
    address = [f"{gateway.base(REPOSITORY)}legacy/", "--username", "__token__", "--password", writer]
    options = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", *address]
    python = CLIENTS / "python" / version / "bin" / "python"
    command = [str(python), "-c", lying, *options, *map(str, project.files)]

    ran = execute(command, world.work, world.environment()).failed()

    assert "400" in ran.text
    assert "sha256" in ran.text
    assert gateway.get(f"/{REPOSITORY}/simple/{project.name}/", token=writer)[0] == 404


def test_a_file_that_names_another_package_inside_is_refused(gateway: Gateway, writer: str, world: World) -> None:
    tool("twine7")
    project = make_project(world, "outer-name")
    other = wheel().build("inner-name", "1.0")
    for file in project.files:
        file.unlink()
    (project.folder / "dist" / "outer_name-1.0-py3-none-any.whl").write_bytes(other.body)

    ran = twine("twine7")(world, project, gateway.base(REPOSITORY), writer).failed()

    for name in ("outer-name", "inner-name"):
        assert gateway.get(f"/{REPOSITORY}/simple/{name}/", token=writer)[0] == 404
    assert "400" in ran.text or "InvalidDistribution" in ran.text


def test_uv_skips_what_the_page_already_has(gateway: Gateway, writer: str, world: World) -> None:
    tool("uv")
    project = make_project(world, "checked")
    PUBLISHERS["uv"](world, project, gateway.base(REPOSITORY), writer).succeeded()
    check = ["--check-url", gateway.base(REPOSITORY, writer) + "simple/"]
    command = ["publish", "--publish-url", f"{gateway.base(REPOSITORY)}legacy/", *check]

    ran = world.run("uv", *command, *project.files, environment={"UV_PUBLISH_TOKEN": writer}).succeeded()

    assert "already exists" in ran.text


def test_uploading_to_the_simple_address_makes_uv_name_the_mistake(gateway: Gateway, writer: str, world: World) -> None:
    tool("uv")
    project = make_project(world, "misdirected")
    command = ["publish", "--publish-url", f"{gateway.base(REPOSITORY)}simple/"]

    ran = world.run("uv", *command, *project.files, environment={"UV_PUBLISH_TOKEN": writer}).failed()

    assert "simple index URL" in ran.text


def test_an_upload_address_without_its_slash_works(gateway: Gateway, writer: str, world: World) -> None:
    tool("twine7")
    project = make_project(world, "no-slash")
    credentials = ["--username", "__token__", "--password", writer]
    options = ["--non-interactive", "--disable-progress-bar"]
    address = f"{gateway.base(REPOSITORY)}legacy"

    world.run("twine7", "upload", *options, "--repository-url", address, *credentials, *project.files).succeeded()

    uv_install(world, gateway.base(REPOSITORY, writer) + "simple/", "no-slash").succeeded()
    assert installed_version(world, "no_slash") == "1.0"


def test_a_new_version_is_seen_by_the_next_install(
    gateway: Gateway, writer: str, new_world: Callable[[], World]
) -> None:
    tool("twine7")
    world, index = new_world(), gateway.base(REPOSITORY, writer) + "simple/"
    first: Project = make_project(world, "moving", "1.0")
    second: Project = make_project(world, "moving", "1.1")
    publish = PUBLISHERS["twine7"]
    publish(world, first, gateway.base(REPOSITORY), writer).succeeded()
    uv_install(world, index, "moving").succeeded()

    publish(world, second, gateway.base(REPOSITORY), writer).succeeded()

    uv_install(world, index, "--upgrade", "moving").succeeded()
    assert installed_version(world, "moving") == "1.1"
