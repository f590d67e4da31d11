"""Maven, Gradle and Ivy publish, every client consumes what they published, and each says in our words what may not be."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients import jvm
from tests.clients.gateway import READ, WRITE, Gateway
from tests.clients.tools import MAVEN_CLIENTS, World, tool

pytestmark = [pytest.mark.client, pytest.mark.public]

REPOSITORY = "maven/acme/libs"
MODULES = ("base", "text", "money", "orders", "bills", "shop")
EVERY_MAVEN = (*MAVEN_CLIENTS, "mvn310")
Warm = Callable[[str], Path]
# 3.8 shows the reason phrase of a refused upload, 3.9 the body, and 4.0.0-rc-4 nothing but the status.
_WORDS = {
    "mvn38": {"409": "is immutable", "403": "write:packages"},
    "mvn39": {"409": "publish a new version", "403": "write:packages"},
    "mvn4": {"409": "409", "403": "403"},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a private hosted repository; every test publishes coordinates of its own."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(folder, {"maven": {"acme/libs": {"layers": ["hosted"]}}}) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def writer(gateway: Gateway) -> str:
    return gateway.token("acme", WRITE)


@pytest.fixture(scope="module")
def base(gateway: Gateway) -> str:
    return gateway.base(REPOSITORY)


@pytest.fixture(params=MAVEN_CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Each Maven; skips where it is missing."""
    name = str(request.param)
    tool(name)
    return name


@pytest.fixture(scope="module")
def published(gateway: Gateway, writer: str, base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """`com.acme.shared:tool:1.0`, which depends on `base`, from Gradle, whose plugins need no download."""
    tool("gradle")
    world = World(tmp_path_factory.mktemp("publisher"))
    jvm.gradle(world, base, writer, "publish", name="com.acme.shared:base").succeeded()
    wanted = ["com.acme.shared:base:1.0"]
    jvm.gradle(world, base, writer, "publish", name="com.acme.shared:tool", wanted=wanted).succeeded()
    return "com.acme.shared:tool:1.0"


@pytest.mark.parametrize("client", EVERY_MAVEN)
def test_modules_deployed_in_parallel_are_consumed_by_another_build(
    client: str, writer: str, base: str, gateway: Gateway, warm: Warm, new_world: Callable[[], World]
) -> None:
    producer, consumer = new_world(), new_world()
    group = f"com.acme.{client}"
    for world in (producer, consumer):
        jvm.configure_maven(world, base, writer, warm(client))
    _modules(producer.work, group)

    at_end = ["-DdeployAtEnd=true"] if client == "mvn39" else []
    jvm.deploy(client, producer, base, "-T", "4", *at_end, cwd=producer.work).succeeded()

    for module in ("parent", *MODULES):
        assert _versions(gateway, writer, f"{group}:{module}") == ["1.0"]
    jvm.copy_dependencies(client, consumer, f"{group}:shop:1.0").succeeded()
    assert sorted(path.name for path in (consumer.work / "lib").iterdir()) == sorted(
        f"{module}-1.0.jar" for module in MODULES
    )
    assert jvm.said(consumer, "shop-*.jar") == "shop"


def test_the_same_files_are_accepted_again_and_others_are_refused_in_words(
    client: str, writer: str, base: str, gateway: Gateway, warm: Warm, world: World
) -> None:
    name, project = f"com.acme.{client}:twice", world.work / "twice"
    jvm.configure_maven(world, base, writer, warm(client))
    jvm.make_library(project, name)
    for _ in range(2 if client == "mvn39" else 1):
        jvm.deploy(client, world, base, cwd=project).succeeded()
    jar = f"/{REPOSITORY}/com/acme/{client}/twice/1.0/twice-1.0.jar"
    before = gateway.get(jar, token=writer)
    jvm.make_library(project, name, content="two")

    ran = jvm.deploy(client, world, base, cwd=project).failed()

    assert gateway.get(jar, token=writer) == before
    assert "409" in ran.text
    assert _WORDS[client]["409"] in ran.text


def test_a_read_only_token_is_refused_in_words(
    client: str, base: str, gateway: Gateway, warm: Warm, world: World
) -> None:
    jvm.configure_maven(world, base, gateway.token("acme", READ), warm(client))
    jvm.make_library(world.work / "denied", f"com.acme.{client}:denied")

    ran = jvm.deploy(client, world, base, cwd=world.work / "denied").failed()

    assert "403" in ran.text
    assert _WORDS[client]["403"] in ran.text


def test_a_wrong_token_is_refused(base: str, warm: Warm, world: World) -> None:
    jvm.configure_maven(world, base, "ent_wrong", warm("mvn39"))
    jvm.make_library(world.work / "denied", "com.acme:denied")

    ran = jvm.deploy("mvn39", world, base, cwd=world.work / "denied").failed()

    assert "401" in ran.text


@pytest.mark.parametrize("client", EVERY_MAVEN)
def test_unknown_coordinates_are_reported_as_such(
    client: str, writer: str, base: str, warm: Warm, world: World
) -> None:
    jvm.configure_maven(world, base, writer, warm(client))

    ran = jvm.copy_dependencies(client, world, "com.acme.none:none:1.0").failed()

    assert re.search(r"[Cc]ould not find artifact com\.acme\.none:none", ran.text)


@pytest.mark.parametrize("producing", ["mvn38", "mvn4"])
def test_a_snapshot_that_was_deployed_again_is_seen_by_the_next_build(
    producing: str, writer: str, base: str, gateway: Gateway, warm: Warm, new_world: Callable[[], World]
) -> None:
    producer, consumer = new_world(), new_world()
    jvm.configure_maven(producer, base, writer, warm(producing))
    jvm.configure_maven(consumer, base, writer, warm("mvn39"))
    name, project = f"com.acme.{producing}:moving", producer.work / "moving"
    for content in ("one", "two"):
        jvm.make_library(project, name, "1.0-SNAPSHOT", content)
        jvm.deploy(producing, producer, base, cwd=project).succeeded()

        jvm.copy_dependencies("mvn39", consumer, f"{name}:1.0-SNAPSHOT", arguments=("-U",)).succeeded()

        assert jvm.said(consumer, "moving-*.jar") == content
    folder = f"/{REPOSITORY}/com/acme/{producing}/moving"
    page = gateway.get(f"{folder}/1.0-SNAPSHOT/maven-metadata.xml", token=writer)[1]
    assert b"<buildNumber>2</buildNumber>" in page


def test_two_builds_that_deploy_at_once_lose_no_version(
    writer: str, base: str, gateway: Gateway, warm: Warm, new_world: Callable[[], World]
) -> None:
    versions = ("1.7", "1.8")
    worlds = [new_world() for _ in versions]
    for world, version in zip(worlds, versions, strict=True):
        jvm.configure_maven(world, base, writer, warm("mvn39"))
        jvm.make_library(world.work / "both", "com.acme.both:both", version)

    with ThreadPoolExecutor() as threads:
        runs = list(threads.map(lambda one: jvm.deploy("mvn39", one, base, cwd=one.work / "both"), worlds))

    for ran in runs:
        ran.succeeded()
    assert _versions(gateway, writer, "com.acme.both:both") == ["1.7", "1.8"]


def test_maven_consumes_what_gradle_published(published: str, writer: str, base: str, warm: Warm, world: World) -> None:
    jvm.configure_maven(world, base, writer, warm("mvn39"))

    jvm.copy_dependencies("mvn39", world, published).succeeded()

    assert jvm.said(world, "tool-1.0.jar") == "gradle 1.0"
    assert jvm.said(world, "base-1.0.jar") == "gradle 1.0"


def test_gradle_consumes_what_gradle_published(published: str, writer: str, base: str, world: World) -> None:
    jvm.gradle(world, base, writer, "copyLibraries", wanted=[published]).succeeded()

    assert jvm.said(world, "base-1.0.jar") == "gradle 1.0"


def test_gradle_is_told_that_a_release_cannot_change(writer: str, base: str, world: World) -> None:
    tool("gradle")
    jvm.gradle(world, base, writer, "publish", name="com.acme.gradle:again").succeeded()

    ran = jvm.gradle(world, base, writer, "publish", name="com.acme.gradle:again", content="other").failed()

    assert "409" in ran.text


def test_ivy_retrieves_what_gradle_published_and_publishes_itself(
    published: str, writer: str, base: str, gateway: Gateway, new_world: Callable[[], World]
) -> None:
    tool("ivy")
    first, second = new_world(), new_world()
    realm = jvm.realm(base)

    jvm.ivy_retrieve(first, base, writer, realm, published).succeeded()
    jvm.ivy_publish(
        first, base, writer, realm, "com.acme.ivy:tool:1.0", first.work / "lib" / "tool-1.0.jar"
    ).succeeded()
    jvm.ivy_retrieve(second, base, writer, realm, "com.acme.ivy:tool:latest.release").succeeded()

    assert jvm.said(first, "base-1.0.jar") == "gradle 1.0"
    assert jvm.said(second, "tool-1.0.jar") == "gradle 1.0"
    assert _versions(gateway, writer, "com.acme.ivy:tool") == ["1.0"]


def test_coursier_fetches_what_gradle_published(published: str, writer: str, base: str, world: World) -> None:
    tool("coursier")

    jvm.coursier_fetch(world, base, writer, published).succeeded()

    assert jvm.said(world, "tool-1.0.jar") == "gradle 1.0"
    assert jvm.said(world, "base-1.0.jar") == "gradle 1.0"


def _modules(folder: Path, group: str) -> None:
    """A parent, and modules of which each needs the one before."""
    folder.mkdir(exist_ok=True)
    parent = f"{group}:parent"
    (folder / "pom.xml").write_text(jvm.pom(parent, packaging="pom", modules=MODULES))
    for number, module in enumerate(MODULES):
        needed = [f"{group}:{MODULES[number - 1]}:1.0"] if number else []
        jvm.make_library(
            folder / module, f"{group}:{module}", content=module, parent=f"{parent}:1.0", dependencies=needed
        )


def _versions(gateway: Gateway, token: str, name: str) -> list[str]:
    """The versions that the metadata of a package lists."""
    path = name.replace(".", "/").replace(":", "/")
    status, body = gateway.get(f"/{REPOSITORY}/{path}/maven-metadata.xml", token=token)
    assert status == 200, body
    return re.findall(r"<version>([^<]+)</version>", body.decode())
