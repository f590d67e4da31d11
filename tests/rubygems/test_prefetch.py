"""A Gemfile.lock fills the cache, and a build of it then needs no upstream."""

import pytest

from adapters.rubygems import ADAPTER
from adapters.rubygems.prefetch import locked_gems
from gateway.errors import Invalid
from gateway.prefetch import prefetch
from tests.conftest import StartGateway, key, public
from tests.fakes.gems import gem
from tests.fakes.upstream import FaultyUpstream
from tests.rubygems.asking import get, push

LOCK = b"""\
GIT
  remote: https://example.com/x.git
  specs:
    elsewhere (1.0)

PATH
  remote: .
  specs:
    here (0.1)

GEM
  remote: https://example.com/
  specs:
    mine (1.0)
    native (1.2.0-x86_64-linux)
    rack (2.0)
      base64 (>= 0.1)
    gone (9.9)

PLATFORMS
  x86_64-linux

DEPENDENCIES
  rack (~> 2.0)

BUNDLED WITH
   2.3.27
"""


def test_only_gems_of_a_registry_are_wanted() -> None:
    assert [*locked_gems(LOCK)] == [("mine", "1.0"), ("native", "1.2.0-x86_64-linux"), ("rack", "2.0"), ("gone", "9.9")]


@pytest.mark.parametrize("body", [b"", b"\xff", b"source 'https://example.com'\n"])
def test_what_is_no_lock_file_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        [*locked_gems(body)]


async def test_what_a_lock_file_names_is_fetched_and_then_served_without_the_upstream(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake:
        (rack,) = fake.rubygems("rack", {"2.0": gem(size=400_000)})
        (native,) = fake.rubygems("native", {"1.2.0": gem(platform="x86_64-linux")})
        gateway = await start_gateway(
            {"rubygems": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config("rubygems")}
        )
        await push(gateway, await gateway.token(), "mine", "1.0")
        repository = key("rubygems/acme/tools")

        done = [one async for one in prefetch(gateway.services, ADAPTER.prefetch, repository, "Gemfile.lock", LOCK)]
        await fake.stop()

        sizes = {one.name: one.size for one in done}
        assert sizes["rack-2.0.gem"] == len(rack.body)
        assert sizes["native-1.2.0-x86_64-linux.gem"] == len(native.body)
        assert [one.name for one in done if one.why] == ["gone-9.9.gem"]
        for path in ("gems/rack-2.0.gem", "gems/native-1.2.0-x86_64-linux.gem", "gems/mine-1.0.gem", "info/rack"):
            assert (await get(gateway, path)).status == 200, path
