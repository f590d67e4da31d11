"""One publish into an index of real size: what it costs those who follow it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.asked import Asked
from tests.clients.gateway import WRITE, Gateway
from tests.clients.rubies import GENERATIONS, build_gem, bundle, gemfile, locked, push
from tests.clients.served import LONG_AGO, serve_gems
from tests.clients.tools import World
from tests.data.gems import versions_file
from tests.fakes.upstream import FaultyUpstream

pytestmark = pytest.mark.client

REPOSITORY = "rubygems/acme/gems"
GEMS = 190_000
MIB = 1 << 20


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_install_after_one_publish_transfers_a_few_bytes_of_a_large_index(
    generation: int, launch: Callable[..., Gateway], fake: FaultyUpstream, world: World, tmp_path: Path
) -> None:
    far = serve_gems(fake, {"open-tool": {"2.0.0": (build_gem(world, "open-tool", "2.0.0"), LONG_AGO)}})
    few = fake.pages["/gems-upstream/versions"].body.decode().partition("---\n")[2]
    fake.serve("/gems-upstream/versions", versions_file(GEMS) + few.encode(), "text/plain; charset=utf-8")
    asked = Asked(tmp_path / "access.log", REPOSITORY)
    gateway = launch(
        {"rubygems": {"acme/gems": {"layers": ["hosted", "far"]}}},
        upstreams={"far": {"type": "rubygems", "url": far}},
        settings=asked.settings,
    )
    token = gateway.token("acme", WRITE)
    host = gateway.base(REPOSITORY).rstrip("/")
    push(world, generation, build_gem(world, "acme-tool", "1.0.0"), host, token).succeeded()
    gemfile(world, gateway.base(REPOSITORY, token), '"acme-tool"', '"open-tool"')
    bundle(world, generation, "install").succeeded()
    first = sum(_index_answers(asked, gateway).values())

    before = gateway.get(f"/{REPOSITORY}/versions", token=token)[1]
    push(world, generation, build_gem(world, "acme-tool", "1.1.0"), host, token).succeeded()
    after = gateway.get(f"/{REPOSITORY}/versions", token=token)[1]
    asked.entries(gateway)
    (world.work / "Gemfile.lock").unlink()
    bundle(world, generation, "install").succeeded()

    assert locked(world) == {"acme-tool": "1.1.0", "open-tool": "2.0.0"}
    assert before.count(b"\n") > GEMS
    assert after.startswith(before)
    assert re.fullmatch(rb"acme-tool 1\.1\.0 [0-9a-f]{32}\n", after[len(before) :])
    assert first > 2 * MIB
    second = _index_answers(asked, gateway)
    assert ("versions", 206) in second
    assert 0 < sum(second.values()) < 10_000


def _index_answers(asked: Asked, gateway: Gateway) -> dict[tuple[str, int], int]:
    """What of the index clients have got since the last look: path and status → bytes."""
    requests = asked.entries(gateway)
    assert not any("specs.4.8" in one["path"] for one in requests), "the client gave the compact index up"
    found: dict[tuple[str, int], int] = {}
    for one in requests:
        path = one["path"]
        if path == "versions" or path.startswith("info/"):
            found[path, one["status"]] = found.get((path, one["status"]), 0) + int(one["bytes"])
    return found
