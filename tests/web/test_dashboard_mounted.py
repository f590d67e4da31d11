"""The dashboard and the metrics as they stand in the running gateway."""

import re

import pytest

from tests.conftest import private, public

BROWSER = {"Accept": "text/html,application/xhtml+xml", "User_Agent": "Mozilla/5.0"}


@pytest.fixture
async def gateway(start_gateway):
    return await start_gateway({"pypi": {"acme/open": public(), "acme/secret": private()}})


@pytest.mark.parametrize("name", ["open", "secret", "nowhere"])
async def test_a_browser_learns_nothing_at_a_repositorys_root(gateway, name):
    response = await gateway.get(f"pypi/acme/{name}/", **BROWSER)

    assert response.status == 303
    assert response.headers["Location"] == f"/-/ui/repositories/pypi/acme/{name}"


async def test_a_package_client_at_a_repositorys_root_is_not_led_away(gateway):
    assert (await gateway.get("pypi/acme/open/", User_Agent="pip/26.3")).status != 303


async def test_a_browser_on_the_root_lands_on_the_dashboard(gateway):
    response = await gateway.get("")
    assert (response.status, response.headers["Location"]) == (302, "/-/ui/")

    page = await gateway.get("-/ui/")

    assert page.status == 200
    assert "<h1>Overview</h1>" in await page.text()


async def test_what_was_asked_is_in_the_metrics(gateway):
    await gateway.get("pypi/acme/open/simple/none/")

    page = await (await gateway.get("-/metrics")).text()

    assert re.search(r'^entrepot_requests_total\{method="GET",status="4xx",type="pypi"\} 1\.0$', page, re.MULTILINE)
    assert re.search(r'^entrepot_request_seconds_count\{type="pypi"\} 1\.0$', page, re.MULTILINE)
    assert "acme" not in page
