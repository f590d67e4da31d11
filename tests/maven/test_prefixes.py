"""`.meta/prefixes.txt` of our own: only where it was asked for, and never less than what may be there."""

import pytest

from adapters.maven.prefixes import render
from adapters.maven.wire import read_prefixes
from tests.conftest import StartGateway, private, public
from tests.fakes.maven import library
from tests.fakes.upstream import FaultyUpstream
from tests.maven.asking import ALGORITHMS, Client, hex_of

PATH = ".meta/prefixes.txt"
ON = {"prefixes": True}


async def test_a_hosted_repository_says_what_it_has_and_what_is_reserved(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": public("hosted", reserve=("org.acme.**",), settings=ON)}})
    jvm = Client(gateway, await gateway.token())
    await jvm.deploy("com.acme.deep.down:tool", "1.0")

    found = await jvm.get(PATH)
    sums = {algorithm: (await jvm.get(f"{PATH}.{algorithm}")).body.decode() for algorithm in ALGORITHMS}

    assert found.body == b"## repository-prefixes/2.0\n/com/acme\n/org/acme\n"
    assert sums == {algorithm: hex_of(found.body, algorithm) for algorithm in ALGORITHMS}
    assert found.headers["X-Checksum-Sha1"] == sums["sha1"]


async def test_nothing_is_said_unless_it_was_asked_for_or_while_there_are_upstreams(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake:
        fake.serve("/maven2/.meta/prefixes.txt", b"## repository-prefixes/2.0\n/org/theirs\n")
        fake.maven("org.theirs:tool", {"1.0": library()})
        repositories = {"acme/jvm": public("hosted"), "acme/more": public("hosted", "one", settings=ON)}
        gateway = await start_gateway({"maven": repositories}, {"one": fake.config("maven")})

        for repository in repositories:
            client = Client(gateway, base=f"maven/{repository}/")
            assert [(await client.get(path)).status for path in (PATH, f"{PATH}.sha1")] == [404, 404]


async def test_names_that_a_reader_may_not_see_are_not_said(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"maven": {"acme/jvm": private("hosted", settings=ON)}})
    await Client(gateway, await gateway.token()).deploy("com.acme:tool", "1.0")
    await Client(gateway, await gateway.token()).deploy("org.other:tool", "1.0")
    bob = Client(gateway, await gateway.token("bob", is_admin=False))
    await gateway.grant("bob", "read", "maven/acme/jvm", "com.acme:*")

    found = await bob.get(PATH)

    assert b"/org/other" not in found.body


@pytest.mark.parametrize(
    ("packages", "reserved", "expected"),
    [
        ([], [], None),
        (["junit:junit", "org.junit.jupiter:api"], [], ["junit", "org/junit"]),
        ([], ["com.acme.**", "com.acme.more:*", "com.one:tool"], ["com/acme", "com/one"]),
        ([], ["com.ac*"], ["com"]),
        ([], ["org.*:tool"], ["org"]),
        (["com.acme:tool"], ["*"], None),
        ([], ["c*"], None),
        ([f"g{i}:a" for i in range(100_001)], [], None),
    ],
)
def test_prefixes_cover_every_name_that_is_or_may_be_there(
    packages: list[str], reserved: list[str], expected: list[str] | None
) -> None:
    body = render(packages, reserved)

    assert (body is None) == (expected is None)
    if body is not None and expected:
        assert read_prefixes(body) == frozenset(expected)
