import base64

import pytest
from multidict import CIMultiDict

from gateway.auth import tokens
from gateway.auth.credential import Credential
from gateway.errors import Unauthenticated
from gateway.web.credentials import read_credentials

TOKEN = tokens.mint()
OTHER = tokens.mint()


def basic(text: str, charset: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(text.encode(charset)).decode()


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (basic(f"alice:{TOKEN}"), Credential(TOKEN, "alice")),
        (basic(f"__token__:{TOKEN}"), Credential(TOKEN, "__token__")),
        (basic(f"__token__: {TOKEN}\n"), Credential(TOKEN, "__token__")),
        (basic(f"{TOKEN}:"), Credential(TOKEN)),
        (basic(TOKEN), Credential(TOKEN)),
        (basic(f"{TOKEN}:x-oauth-basic"), Credential(TOKEN)),
        (basic("alice: pass:word "), Credential(" pass:word ", "alice")),
        (basic("alice:pässword", "latin-1"), Credential("pässword", "alice")),
        (basic("alice:pässword"), Credential("pässword", "alice")),
        (basic(":secret"), Credential("secret", "")),
        (basic(":"), None),
        (basic("a:b") + f", {TOKEN}", Credential(TOKEN)),
        (f"Bearer {TOKEN}", Credential(TOKEN)),
        (f"bearer  {TOKEN} ", Credential(TOKEN)),
        (f"token {TOKEN}", Credential(TOKEN)),
        (TOKEN, Credential(TOKEN)),
        ("some-key", Credential("some-key")),
        ("", None),
        ("   ", None),
    ],
)
def test_every_form_that_clients_send_is_read(authorization, expected):
    assert read_credentials(CIMultiDict({"Authorization": authorization})) == expected


def test_no_header_is_no_credential():
    assert read_credentials(CIMultiDict()) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic !!!",
        "Basic abc",
        basic("alice:pass\x00word"),
        basic("ali\nce:password"),
        "Bearer ",
        "Bearer",
        "Bearer a b",
        "Digest username=alice",
        "Negotiate abc",
        "Bearer " + "x" * 9000,
    ],
)
def test_what_cannot_be_read_is_refused_and_not_taken_for_nobody(authorization):
    with pytest.raises(Unauthenticated):
        read_credentials(CIMultiDict({"Authorization": authorization}))


@pytest.mark.parametrize("name", ["X-NuGet-ApiKey", "Private-Token", "Deploy-Token", "Job-Token"])
def test_a_key_header_carries_a_token(name):
    assert read_credentials(CIMultiDict({name: f" {TOKEN} "})) == Credential(TOKEN)


def test_a_real_key_wins_over_authorization():
    headers = CIMultiDict({"X-NuGet-ApiKey": TOKEN, "Authorization": basic(f"a:{OTHER}")})

    assert read_credentials(headers) == Credential(TOKEN)


def test_a_placeholder_key_gives_way_to_authorization():
    headers = CIMultiDict({"X-NuGet-ApiKey": "az", "Authorization": basic(f"a:{OTHER}")})

    assert read_credentials(headers) == Credential(OTHER, "a")


def test_two_authorizations_are_refused():
    headers = CIMultiDict([("Authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {OTHER}")])

    with pytest.raises(Unauthenticated):
        read_credentials(headers)


def test_a_credential_does_not_print_its_secret():
    assert TOKEN not in repr(Credential(TOKEN, "alice"))
