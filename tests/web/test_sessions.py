import pytest
from multidict import CIMultiDict

from gateway.auth import tokens
from gateway.errors import Forbidden
from gateway.web import sessions

SECRET = tokens.mint()


def test_a_cookie_is_read_back():
    cookie = sessions.session_cookie(SECRET, max_age=60.5, is_secure=True)

    assert cookie.endswith("; Path=/-/; Max-Age=60; HttpOnly; SameSite=Strict; Secure")
    assert sessions.read_session(CIMultiDict({"Cookie": f"a=b; {cookie.partition(';')[0]}; c=d"})) == SECRET


def test_without_tls_the_cookie_is_not_marked_secure():
    assert "Secure" not in sessions.session_cookie(SECRET, max_age=60, is_secure=False)
    assert "Max-Age=0" in sessions.ended_cookie(is_secure=False)


@pytest.mark.parametrize(
    "cookie",
    ["", "other=x", "entrepot_session=", "entrepot_session=short", 'entrepot_session="a b c d e f g h i j k"', ";;;=;"],
)
def test_what_is_no_session_is_none(cookie):
    assert sessions.read_session(CIMultiDict({"Cookie": cookie})) is None


def test_the_csrf_token_is_not_the_secret_and_differs_by_session():
    assert sessions.csrf_token(SECRET) not in {SECRET, tokens.sha256(SECRET)}
    assert sessions.csrf_token(SECRET) != sessions.csrf_token(tokens.mint())


@pytest.mark.parametrize("given", ["", "x", SECRET, tokens.sha256(SECRET), "ü"])
def test_a_change_without_the_sessions_own_csrf_token_is_refused(given):
    with pytest.raises(Forbidden):
        sessions.require_csrf(CIMultiDict({"X-CSRF-Token": given}), SECRET)


def test_a_change_with_the_csrf_token_is_let_through():
    sessions.require_csrf(CIMultiDict({"x-csrf-token": sessions.csrf_token(SECRET)}), SECRET)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "whatever"])
def test_a_browser_that_names_another_site_is_refused(site):
    with pytest.raises(Forbidden):
        sessions.require_same_site(CIMultiDict({"Sec-Fetch-Site": site}))
