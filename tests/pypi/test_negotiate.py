"""Which form a client gets, with the headers that real clients were seen to send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi.negotiate import HTML, INTEGRITY, JSON, TEXT_HTML, choose, integrity_type, prefers_json

PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
UV_PUBLISH = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PIP, JSON),
        (UV, JSON),
        ("application/vnd.pypi.simple.v1+json, */*;q=0.1", JSON),  # poetry
        ("*/*", TEXT_HTML),  # hatch, curl
        ("", TEXT_HTML),
        ("text/html", TEXT_HTML),  # dependabot
        ("application/vnd.pypi.simple.v1+html", HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html, text/html", HTML),
        ("application/vnd.pypi.simple.v1+json;q=0, text/html", TEXT_HTML),
        ("application/vnd.pypi.simple.v1+json;q=0.5, text/html;q=0.8", TEXT_HTML),
        ("Application/VND.PyPI.Simple.V1+JSON", JSON),
        ("application/json", TEXT_HTML),
        ("application/vnd.pypi.simple.v2+json", TEXT_HTML),
        ("application/vnd.pypi.simple.v1+json;q=nan", TEXT_HTML),
    ],
)
def test_only_a_type_that_is_named_exactly_counts(accept, kind):
    assert choose(accept) == kind


@pytest.mark.parametrize("wanted", [JSON, JSON.replace("+", " "), "application/vnd.pypi.simple.latest+json"])
def test_the_format_parameter_wins_even_with_its_plus_decoded_to_a_space(wanted):
    assert choose("text/html", wanted) == JSON


def test_an_unknown_format_parameter_is_ignored():
    assert choose(PIP, "yaml") == JSON


@pytest.mark.parametrize(
    ("accept", "json"),
    [(UV_PUBLISH, True), ("*/*", False), ("", False), ("text/plain", False), (PIP, True), ("text/html, */*", False)],
)
def test_errors_are_json_only_for_those_who_prefer_it(accept, json):
    assert prefers_json(accept) is json


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", INTEGRITY),
        ("*/*", INTEGRITY),
        (INTEGRITY, INTEGRITY),
        ("application/json", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
    ],
)
def test_provenance_is_sent_in_one_of_two_types_or_not_at_all(accept, kind):
    assert integrity_type(accept) == kind


@given(st.text(), st.text())
def test_no_header_makes_negotiation_fail(accept, wanted):
    assert choose(accept, wanted) in {JSON, HTML, TEXT_HTML}
    prefers_json(accept)
    integrity_type(accept)
