"""Dependency confusion, tried with real JVM clients: a private groupId never comes from an upstream, and never reaches it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients import jvm
from tests.clients.gateway import DELETE, Gateway
from tests.clients.tools import MAVEN_CLIENTS, Ran, World, tool
from tests.fakes.maven import library
from tests.fakes.upstream import FaultyUpstream

pytestmark = [pytest.mark.client, pytest.mark.public]

REPOSITORY = "maven/acme/libs"
HOSTED, RESERVED, EXACT = "com.acme:tool:[1.0,)", "com.corp:secret:[1.0,)", "com.corp:secret:99.0"
Warm = Callable[[str], Path]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, fake: FaultyUpstream) -> Iterator[Gateway]:
    """Hosted first, then an upstream; `com.corp.**` is reserved."""
    fake.maven("org.open:tool", {"1.0": library(), "2.0": library()})
    fake.maven("com.corp:secret", {"99.0": library()})
    repositories = {"maven": {"acme/libs": {"layers": ["hosted", "evil"], "reserve": ["com.corp.**"]}}}
    upstreams = {"evil": {"type": "maven", "url": fake.maven_url}}
    with Gateway(tmp_path_factory.mktemp("gateway"), repositories, upstreams=upstreams) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def hosted(gateway: Gateway, fake: FaultyUpstream, tmp_path_factory: pytest.TempPathFactory) -> str:
    """com.acme:tool:1.0 is published here; then an attacker puts 1.0 and 99.0 upstream. The token."""
    tool("gradle")
    token = gateway.token("acme", DELETE)
    world = World(tmp_path_factory.mktemp("publisher"))
    jvm.gradle(world, gateway.base(REPOSITORY), token, "publish", name="com.acme:tool").succeeded()
    fake.maven("com.acme:tool", {"1.0": library(), "99.0": library()})
    fake.forget()
    return token


@pytest.mark.parametrize("client", [*MAVEN_CLIENTS, "gradle", "ivy", "coursier"])
def test_every_client_takes_the_hosted_version_from_a_range(
    client: str, gateway: Gateway, hosted: str, fake: FaultyUpstream, warm: Warm, world: World
) -> None:
    tool(client)

    _consume(client, world, gateway, hosted, warm, HOSTED).succeeded()

    assert [path.name for path in (world.work / "lib").iterdir()] == ["tool-1.0.jar"]
    assert jvm.said(world, "tool-1.0.jar") == "gradle 1.0"
    assert _private(fake) == []


@pytest.mark.parametrize(
    ("client", "wanted"),
    [
        ("mvn38", EXACT),
        ("mvn39", RESERVED),
        ("mvn4", RESERVED),
        ("gradle", EXACT),
        ("ivy", RESERVED),
        ("coursier", EXACT),
    ],
)
def test_a_reserved_group_that_was_never_published_is_not_taken_from_the_upstream(
    client: str, wanted: str, gateway: Gateway, hosted: str, fake: FaultyUpstream, warm: Warm, world: World
) -> None:
    tool(client)

    _consume(client, world, gateway, hosted, warm, wanted).failed()

    assert _private(fake) == []


@pytest.mark.parametrize(
    "group",
    ["com/acme", "com.acme", "%63om/acme", "com/%61cme", "com//acme", "com/./acme", "com/x/../acme", "com%2Facme"],
)
def test_no_spelling_of_a_hosted_group_reaches_the_upstream(
    group: str, gateway: Gateway, hosted: str, fake: FaultyUpstream
) -> None:
    base = f"/{REPOSITORY}/{group}/tool"
    files = ["tool-99.0.pom", "tool-99.0.jar", "tool-99.0.jar.sha1", "tool-99.0.module", "tool-99.0-sources.jar"]
    paths = [
        f"{base}/maven-metadata.xml",
        f"{base}/maven-metadata.xml.sha1",
        *(f"{base}/99.0/{file}" for file in files),
    ]

    answers = {path: gateway.get(path, token=hosted) for path in paths}

    assert _private(fake) == []
    assert not any(b"99.0" in body for status, body in answers.values() if status == 200)
    assert all(answers[path][0] in {400, 404} for path in paths[2:])


def test_the_upstream_was_asked_for_what_is_not_ours(gateway: Gateway, hosted: str, fake: FaultyUpstream) -> None:
    status, body = gateway.get(f"/{REPOSITORY}/org/open/tool/maven-metadata.xml", token=hosted)

    assert (status, b"2.0" in body) == (200, True)
    assert fake.count("/maven2/org/open/tool/maven-metadata.xml") >= 1


def _consume(client: str, world: World, gateway: Gateway, token: str, warm: Warm, wanted: str) -> Ran:
    """The jars of `wanted` into `lib`, by this client."""
    base = gateway.base(REPOSITORY)
    runs: Mapping[str, Callable[[], Ran]] = {
        "gradle": lambda: jvm.gradle(world, base, token, "copyLibraries", wanted=[wanted]),
        "ivy": lambda: jvm.ivy_retrieve(world, base, token, jvm.realm(base), wanted),
        "coursier": lambda: jvm.coursier_fetch(world, base, token, wanted),
    }
    if client in runs:
        return runs[client]()
    if not (world.home / ".m2").exists():
        jvm.configure_maven(world, base, token, warm(client))
    return jvm.copy_dependencies(client, world, wanted)


def _private(fake: FaultyUpstream) -> list[str]:
    """Requests that carried a private name, in any spelling."""
    return [seen.path for seen in fake.seen if any(word in seen.path.lower() for word in ("acme", "corp"))]
