"""Paths from strangers, and the table that matches them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MethodNotAllowed, PathInvalid, RouteUnknown
from gateway.web.paths import RouteTable, guard


@dataclass(frozen=True)
class R:
    method: str
    pattern: str


@pytest.mark.parametrize(
    "raw",
    [
        "/a/../b",
        "/a/./b",
        "/..",
        "/a//b",
        "//a",
        "/a/%2e%2e/b",
        "/a/%2E/b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/a\x00b",
        "/a%0ab",
        "/a%252fb",
        "/a%252e%252e/b",
        "/a%25",
        "/a%7f",
        "/a b",
        "/a%zz",
        "/a%",
        "/a/%ff%fe",
        "/" + "a" * 64_000,
    ],
)
def test_a_path_that_could_mean_two_things_is_refused(raw: str) -> None:
    with pytest.raises(PathInvalid):
        guard(raw)


@pytest.mark.parametrize(
    ("raw", "decoded"),
    [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("/%2Bsimple/x", "/+simple/x"),
        ("/%40acme/lib", "/@acme/lib"),
        ("/a%20b", "/a b"),
        ("/caf%C3%A9", "/café"),
        ("/...", "/..."),
    ],
)
def test_an_honest_path_is_decoded_once(raw: str, decoded: str) -> None:
    assert guard(raw) == decoded


@given(st.text(max_size=200))
def test_no_text_gets_past_the_guard_with_a_dot_segment(raw: str) -> None:
    try:
        decoded = guard("/" + raw)
    except PathInvalid:
        return
    assert not {".", ".."} & set(decoded.split("/"))
    assert "\x00" not in decoded
    assert "\\" not in decoded


TABLE = RouteTable(
    [
        R("GET", ""),
        R("GET", "simple/{name}/"),
        R("POST", "simple/{name}/"),
        R("GET", "x/{v:[0-9]{1,3}}"),
        R("PUT", "f/{rest*}"),
    ]
)


def test_the_first_fitting_route_wins_and_gives_its_captures() -> None:
    found = TABLE.find("GET", "simple/requests/")

    assert found.route == R("GET", "simple/{name}/")
    assert found.captures == {"name": "requests"}


def test_head_is_answered_by_the_get_route() -> None:
    assert TABLE.find("HEAD", "").route == R("GET", "")


def test_the_rest_of_a_path_can_hold_slashes() -> None:
    assert TABLE.find("PUT", "f/a/b/c").captures == {"rest": "a/b/c"}


def test_a_capture_can_be_narrowed() -> None:
    assert TABLE.find("GET", "x/123").captures == {"v": "123"}
    with pytest.raises(RouteUnknown):
        TABLE.find("GET", "x/1234")


def test_another_method_is_told_which_are_allowed() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        TABLE.find("DELETE", "simple/requests/")

    assert refused.value.allowed == "GET, HEAD, POST"


def test_a_trailing_newline_does_not_slip_through() -> None:
    with pytest.raises(RouteUnknown):
        TABLE.find("GET", "simple/requests/\n")
