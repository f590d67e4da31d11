"""A browser adds the password that it remembers to whatever page sends something here: such changes are refused."""

import pytest

from tests.conftest import StartGateway, private
from tests.ecosystems import ECOSYSTEMS, Ecosystem


@pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_cannot_make_a_browser_publish(
    start_gateway: StartGateway, eco: Ecosystem, site: str
) -> None:
    gateway = await start_gateway({eco.type: {"acme/tools": private("hosted")}})
    token = await gateway.token()

    gateway.session.headers["Sec-Fetch-Site"] = site
    refused, _ = await eco.publish(gateway, "acme-tool", "1.0.0", token)
    del gateway.session.headers["Sec-Fetch-Site"]
    taken, _ = await eco.publish(gateway, "acme-tool", "1.0.0", token)

    assert refused.status == 403
    assert b"nother site asked" in refused.body
    assert taken.status in {200, 201}


@pytest.mark.parametrize(
    "path", ["v2/container/acme/tools/tool/blobs/uploads/", "maven/acme/tools/org/acme/a/1/a-1.pom"]
)
async def test_nor_push_or_deploy(start_gateway: StartGateway, path: str) -> None:
    gateway = await start_gateway(
        {"container": {"acme/tools": private("hosted")}, "maven": {"acme/tools": private("hosted")}}
    )
    method = "POST" if path.startswith("v2/") else "PUT"

    refused = await gateway.request(method, path, await gateway.token(), data=b"", Sec_Fetch_Site="cross-site")

    assert refused.status == 403
    assert b"nother site asked" in refused.body


async def test_a_link_on_another_site_still_leads_here(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": private("hosted")}})
    token = await gateway.token()

    reply = await gateway.get("pypi/acme/tools/simple/", token, Sec_Fetch_Site="cross-site")

    assert reply.status == 200
