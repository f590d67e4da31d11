"""What is gone is not remembered: no page, name or file of a removed repository is given for the next one."""

import pytest

from gateway.store.rows import Edit
from tests.conftest import StartGateway, key, private
from tests.ecosystems import ECOSYSTEMS, PYPI, Ecosystem

ALL = pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)


@ALL
async def test_a_repository_made_anew_shows_nothing_of_the_one_before(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    gateway = await start_gateway()
    repositories, token = gateway.services.repositories, await gateway.token()
    await repositories.upsert(key(f"{eco.type}/acme/tools"), private("hosted"), "api")
    published, old = await eco.publish(gateway, "acme-tool", "1.0.0", token)
    assert published.status in {200, 201}
    assert eco.versions((await eco.read(gateway, "acme-tool", token)).body) == {"1.0.0"}
    assert (await gateway.get(eco.file("acme-tool", old), token)).status == 200

    await repositories.remove(key(f"{eco.type}/acme/tools"), with_packages=True)
    await repositories.upsert(key(f"{eco.type}/acme/tools"), private("hosted"), "api")

    assert (await eco.read(gateway, "acme-tool", token)).status == 404
    assert (await gateway.get(eco.file("acme-tool", old), token)).status == 404
    await eco.publish(gateway, "acme-tool", "2.0.0", token)
    assert eco.versions((await eco.read(gateway, "acme-tool", token)).body) == {"2.0.0"}


async def test_the_list_of_names_of_a_removed_repository_is_not_that_of_the_next(start_gateway: StartGateway) -> None:
    (gems,) = (eco for eco in ECOSYSTEMS if eco.type == "rubygems")
    gateway = await start_gateway()
    repositories, token = gateway.services.repositories, await gateway.token()
    await repositories.upsert(key("rubygems/acme/tools"), private("hosted"), "api")
    await gems.publish(gateway, "acme-secret", "1.0.0", token)
    assert b"acme-secret" in (await gateway.get("rubygems/acme/tools/versions", token)).body

    await repositories.remove(key("rubygems/acme/tools"), with_packages=True)
    await repositories.upsert(key("rubygems/other/tools"), private("hosted"), "api")

    for page in ("versions", "names"):
        assert b"acme-secret" not in (await gateway.get(f"rubygems/other/tools/{page}", token)).body


async def test_a_name_that_was_given_back_begins_without_its_old_pages(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": private("hosted")}})
    packages, token = gateway.services.packages, await gateway.token()
    (repository,) = gateway.services.known().values()
    _, old = await PYPI.publish(gateway, "acme-tool", "1.0.0", token)
    assert PYPI.versions((await PYPI.read(gateway, "acme-tool", token)).body) == {"1.0.0"}

    await packages.edit(repository.id, "acme-tool", Edit(forget_files=(old.filename,)))
    await packages.release(repository.id, "acme-tool")
    await PYPI.publish(gateway, "acme-tool", "2.0.0", token)

    assert PYPI.versions((await PYPI.read(gateway, "acme-tool", token)).body) == {"2.0.0"}
