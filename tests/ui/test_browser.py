"""The dashboard in a real browser: what only a browser does to forms, cookies and policies."""

import shutil

import pytest
from playwright.async_api import async_playwright

from gateway.auth.claim import ensure_claim
from gateway.model import Visibility
from tests.ui.conftest import PASSWORD

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]


@pytest.fixture
async def browser():
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def test_the_first_start_up_to_a_token_without_a_complaint_of_the_browser(dashboard, browser):
    services = dashboard.ui.services
    await dashboard.repository("acme/tools", Visibility.PUBLIC)
    dashboard.root = str(dashboard.client.make_url("/"))
    link = (await ensure_claim(services.config.data, services.identities, dashboard.root)).read_text().strip()
    complaints = []
    page = await browser.new_page(color_scheme="dark")
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    await page.goto(link)
    await page.fill("main [name=name]", "ann")
    await page.fill("[name=password]", PASSWORD)
    await page.fill("[name=again]", PASSWORD)
    await page.click("main button")
    await page.wait_for_url("**/-/ui/")
    for target in ("repositories", "repositories/pypi/acme/tools", "upstreams", "audit", "tokens"):
        await page.goto(f"{dashboard.root}-/ui/{target}")
    await page.fill("main [name=name]", "laptop")
    await page.click("text=Make token")
    token = await page.inner_text("main pre")
    await page.click("text=Sign out")
    await page.wait_for_url("**/sign-in")

    assert token.startswith("ent_")
    assert complaints == []


async def test_the_style_sheet_is_applied_and_no_script_runs(dashboard, browser):
    dashboard.root = str(dashboard.client.make_url("/"))
    page = await browser.new_page()
    await page.goto(f"{dashboard.root}-/ui/repositories")

    padding = await page.evaluate("getComputedStyle(document.querySelector('header.top')).display")

    assert padding == "flex"
    assert await page.query_selector("script") is None


async def test_a_table_that_is_wider_than_a_telephone_scrolls_in_its_own_frame(dashboard, browser):
    await dashboard.user("ann")
    dashboard.root = str(dashboard.client.make_url("/"))
    page = await browser.new_page(viewport={"width": 380, "height": 800})
    await page.goto(f"{dashboard.root}-/ui/sign-in")
    await page.fill("main [name=name]", "ann")
    await page.fill("[name=password]", PASSWORD)
    await page.click("main button")
    await page.wait_for_url("**/-/ui/")
    await page.goto(f"{dashboard.root}-/ui/tokens")
    await page.fill("main [name=name]", "a-token-with-a-name-that-takes-its-place")
    await page.click("text=Make token")
    await page.wait_for_selector("main table")

    table, document = "document.querySelector('main table')", "document.documentElement"

    assert await page.evaluate(f"{table}.scrollWidth > {table}.parentElement.clientWidth")
    assert await page.evaluate(f"{document}.scrollWidth <= {document}.clientWidth")
