"""Attacks on the dashboard: stored scripts, forged forms, planted sessions, open redirects."""

import re
import time

import pytest

from gateway.auth import tokens
from gateway.auth.claim import ensure_claim
from gateway.model import RepositoryKey, Scope, Visibility
from gateway.store.rows import AuditEntry
from gateway.ui.places import repository_location
from tests.ui.conftest import PASSWORD

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


def assert_harmless(page):
    assert "<script" not in page
    assert "<img" not in page
    assert "49" not in re.sub(r"[0-9a-f]{16,}", "", page)
    assert "&lt;script&gt;" in page


async def test_a_stored_script_is_text_wherever_it_shows(dashboard):
    ann = await dashboard.user("ann", is_admin=True)
    public = await dashboard.repository("acme/open", Visibility.PUBLIC, reserve=(EVIL,))
    await dashboard.publish(public, EVIL.lower().replace(" ", ""), EVIL, version=EVIL, tags={EVIL: EVIL})
    secret = tokens.mint()
    await dashboard.ui.services.identities.create_token(
        ann.id, sha256=tokens.sha256(secret), hint=EVIL, name=EVIL, scopes={Scope.READ}, repositories=(EVIL,)
    )
    entry = AuditEntry(time.time(), EVIL, EVIL, EVIL, EVIL, {EVIL: [EVIL]}, EVIL)
    await dashboard.ui.services.audit.append([entry])
    await dashboard.sign_in("ann")
    pages = [await dashboard.get(path) for path in ("repositories/pypi/acme/open", "tokens", "audit")]
    link = re.search(r'href="/-/ui/(repositories/pypi/acme/open/packages/[^"]+)"', pages[0].page)[1]
    assert re.fullmatch(r"[A-Za-z0-9/%._~*'()-]+", link)

    for page in pages:
        assert page.status == 200
        assert_harmless(page.page)
    assert_harmless((await dashboard.get(f"audit?actor={EVIL}")).page)
    assert_harmless((await dashboard.post("sign-in", {"name": EVIL, "password": "x" * 12})).page)


async def test_a_name_asked_for_is_text_in_the_error(dashboard):
    await dashboard.user("ann")
    await dashboard.sign_in("ann")

    page = (await dashboard.get("repositories/pypi/acme/%3Cscript%3Ealert(1)%3C%3E")).page

    assert "<script" not in page


@pytest.mark.parametrize("path", ["", "repositories", "sign-in", "nowhere", "style.css"])
async def test_every_page_forbids_scripts_frames_and_other_hosts(dashboard, path):
    response = await dashboard.get(path)

    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert path == "style.css" or response.headers["Cache-Control"] == "no-store"
    assert "style=" not in response.page
    assert "http" not in re.sub(r"http-equiv", "", response.page)


async def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(dashboard):
    await dashboard.user("ann")
    dashboard.is_secure = True

    response = await dashboard.post("sign-in", {"name": "ann", "password": PASSWORD})

    cookie = response.headers["Set-Cookie"]
    for part in ("; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/-/"):
        assert part in cookie


async def test_a_session_is_new_with_every_sign_in_and_the_old_one_ends(dashboard):
    await dashboard.user("ann")
    await dashboard.sign_in("ann")
    planted = dict(dashboard.headers)

    await dashboard.sign_in("ann")

    assert dashboard.headers != planted
    dashboard.headers = planted
    assert (await dashboard.get("tokens")).status == 303


async def test_sign_out_ends_the_session_on_the_server(dashboard):
    await dashboard.user("ann")
    csrf = await dashboard.sign_in("ann")

    response = await dashboard.post("sign-out", {"csrf": csrf})

    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert (await dashboard.get("tokens")).status == 303


CHANGES = ["tokens", "tokens/1/revoke", "sign-out", "login/x"]


@pytest.mark.parametrize("path", CHANGES)
async def test_a_forged_form_changes_nothing(dashboard, path):
    ann = await dashboard.user("ann")
    await dashboard.ui.services.identities.create_token(
        ann.id, sha256="0" * 64, hint="ent_", name="mine", scopes={Scope.READ}
    )
    await dashboard.sign_in("ann")
    form = {"name": "stolen", "scope_admin": "1"}

    for csrf in ({}, {"csrf": ""}, {"csrf": "0" * 64}):
        assert (await dashboard.post(path, form | csrf)).status == 403
    assert (await dashboard.get("tokens")).status == 200
    assert [row.name for row in await dashboard.ui.services.identities.tokens()] == ["mine"]


async def test_the_form_token_of_another_session_is_refused(dashboard):
    await dashboard.user("ann")
    await dashboard.user("eve")
    eves = await dashboard.sign_in("eve")
    await dashboard.sign_in("ann")

    assert (await dashboard.post("tokens", {"name": "x", "scope_read": "1", "csrf": eves})).status == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
async def test_another_site_cannot_sign_a_browser_in(dashboard, headers):
    await dashboard.user("eve")

    response = await dashboard.post("sign-in", {"name": "eve", "password": PASSWORD}, **headers)

    assert response.status == 403
    assert "Set-Cookie" not in response.headers


async def test_our_own_origin_may_sign_in(dashboard):
    await dashboard.user("ann")

    response = await dashboard.post("sign-in", {"name": "ann", "password": PASSWORD}, Origin="http://gateway.example")

    assert response.status == 303


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/-/ui/\r\nSet-Cookie: x=1",
        "javascript:x",
        "/-/ui/" + "a" * 9000,
    ],
)
async def test_sign_in_leads_nowhere_else(dashboard, target):
    await dashboard.user("ann")

    response = await dashboard.post("sign-in", {"name": "ann", "password": PASSWORD, "next": target})

    assert (response.status, response.headers["Location"]) == (303, "/-/ui/")


async def test_a_wrong_password_says_nothing_about_the_name_and_soon_has_to_wait(dashboard):
    await dashboard.user("ann")

    pages = [await dashboard.post("sign-in", {"name": name, "password": "wrong password"}) for name in ("ann", "zoe")]
    for page in pages:
        assert page.status == 401
        assert "wrong user name or password" in page.page
    for _ in range(dashboard.ui.services.config.auth.max_failures):
        dashboard.ui.authenticator.throttle.note("192.0.2.7")

    assert (await dashboard.post("sign-in", {"name": "ann", "password": PASSWORD})).status == 429


async def test_a_huge_or_strange_form_is_refused(dashboard):
    await dashboard.user("ann")

    assert (await dashboard.post("sign-in", {"name": "x" * 100_000})).status == 413
    async with dashboard.client.post("/-/ui/sign-in", json={"name": "ann", "password": PASSWORD}) as response:
        assert response.status == 400


async def test_a_refused_form_comes_back_as_it_was_filled_in_and_escaped(dashboard):
    await dashboard.user("ann")
    csrf = await dashboard.sign_in("ann")
    fields = {"name": '"><b>ci', "scope_write": "1", "days": "90", "packages": "acme-*", "cidrs": "nonsense"}

    refused = await dashboard.post("tokens", {"csrf": csrf, **fields})

    assert refused.status == 400
    assert 'name="name" value="&#34;&gt;&lt;b&gt;ci"' in refused.page
    assert 'name="packages" value="acme-*"' in refused.page
    assert 'name="cidrs" value="nonsense"' in refused.page
    assert '<option value="90" selected>' in refused.page
    assert 'name="scope_write" value="1" checked' in refused.page
    assert 'name="scope_read" value="1">' in refused.page


async def test_a_token_is_shown_once_and_only_to_its_maker(dashboard):
    await dashboard.user("ann")
    csrf = await dashboard.sign_in("ann")

    made = await dashboard.post("tokens", {"csrf": csrf, "name": "ci", "scope_read": "1", "packages": "left right-*"})

    secret = re.search(r"ent_[0-9A-Za-z]{36}", made.page)[0]
    assert made.headers["Cache-Control"] == "no-store"
    assert secret not in (await dashboard.get("tokens")).page
    row, actor = dashboard.ui.services.identities.token_by_sha256(tokens.sha256(secret))
    assert (actor.name, row.packages, row.scopes) == ("ann", ("left", "right-*"), {Scope.READ})
    assert row.expires_at is not None


async def test_one_person_cannot_revoke_anothers_token(dashboard):
    ann = await dashboard.user("ann")
    await dashboard.user("eve")
    row = await dashboard.ui.services.identities.create_token(
        ann.id, sha256="0" * 64, hint="ent_", name="anns", scopes={Scope.READ}
    )
    csrf = await dashboard.sign_in("eve")

    assert (await dashboard.post(f"tokens/{row.id}/revoke", {"csrf": csrf})).status == 404
    csrf = await dashboard.sign_in("ann")
    assert (await dashboard.post(f"tokens/{row.id}/revoke", {"csrf": csrf})).status == 303
    assert await dashboard.ui.services.identities.tokens() == []


async def claim_link(dashboard):
    services = dashboard.ui.services
    path = await ensure_claim(services.config.data, services.identities, dashboard.root)
    return path.read_text().strip().partition("/-/ui/")[2]


async def test_the_claim_makes_one_administrator_and_then_is_gone(dashboard):
    link = await claim_link(dashboard)
    assert "Become the administrator" in (await dashboard.get(link)).page
    form = {"name": "ann", "password": PASSWORD, "again": PASSWORD}

    assert (await dashboard.post(link, form | {"again": "something else"})).status == 400
    assert (await dashboard.post(link, form | {"name": "../x"})).status == 400
    claimed = await dashboard.post(link, form)
    assert claimed.status == 303
    second = await dashboard.post(link, form | {"name": "eve"})

    assert second.status == 403
    assert (await dashboard.get(link)).status == 403
    dashboard.headers = {"Cookie": claimed.headers["Set-Cookie"].partition(";")[0]}
    assert '<span class="badge">admin</span>' in (await dashboard.get("")).page


async def test_a_guessed_claim_shows_no_form_and_counts_as_a_failure(dashboard):
    await claim_link(dashboard)

    answers = [(await dashboard.get("claim/guessed")).status for _ in range(21)]

    assert answers[:20] == [403] * 20
    assert answers[20] == 429


async def test_a_command_line_login_is_approved_by_a_person_only(dashboard):
    await dashboard.user("ann")
    started = await dashboard.ui.web_logins.start("<b>laptop</b>", "198.51.100.9")
    assert (await dashboard.get(f"login/{started.link}")).status == 303

    csrf = await dashboard.sign_in("ann")
    page = (await dashboard.get(f"login/{started.link}")).page
    assert "&lt;b&gt;laptop&lt;/b&gt;" in page
    assert "198.51.100.9" in page
    assert await dashboard.ui.web_logins.poll(started.poll) is None
    assert "Approved" in (await dashboard.post(f"login/{started.link}", {"csrf": csrf})).page

    secret = await dashboard.ui.web_logins.poll(started.poll)
    assert dashboard.ui.services.identities.token_by_sha256(tokens.sha256(secret))[1].name == "ann"
    assert (await dashboard.get(f"login/{started.link}")).status == 404


async def test_a_disabled_persons_session_is_over(dashboard):
    ann = await dashboard.user("ann")
    await dashboard.sign_in("ann")

    await dashboard.ui.services.identities.update_actor(ann.id, {"is_disabled": True})

    assert (await dashboard.get("tokens")).status == 303


async def test_a_browser_at_a_repositorys_root_is_led_to_its_page(dashboard):
    answer = repository_location(RepositoryKey("pypi", "acme", 'to"ols'))

    assert (answer.status, answer.headers[0]) == (303, ("Location", "/-/ui/repositories/pypi/acme/to%22ols"))
