import json

import pytest

from adapters.npm import search
from gateway.errors import Invalid, UpstreamCorrupt
from tests.npm.test_packument import hosted


def entry(name="@acme/lib", **manifest):
    listing = hosted("1.0.0", name=name, maintainers=[{"name": "ada", "email": "a@x"}])
    listing.files[0].facts["manifest"].update(manifest)
    return search.entry(listing)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("lib", True),
        ("LIB json", True),
        ("nothing", False),
        ("keywords:json", True),
        ("keywords:json,parser", True),
        ("keywords:xml", False),
        ("scope:acme", True),
        ("scope:@acme", True),
        ("scope:other", False),
        ("maintainer:ada", True),
        ("author:bob", True),
        ("author:eve", False),
        ("is:unstable", False),
        ("not:deprecated", True),
        ("lib scope:acme not:unstable", True),
    ],
)
def test_a_query_means_what_npm_means(text, expected):
    found = entry(description="reads JSON", keywords=["json", "parser"], author={"name": "Bob"})

    assert search.matches(found, search.parse_query({"text": text})) is expected


def test_a_result_has_the_shape_that_clients_read():
    package = entry(keywords="a, b", homepage="https://x.example")["package"]

    assert package["name"] == "@acme/lib"
    assert package["scope"] == "acme"
    assert package["keywords"] == ["a", "b"]
    assert package["publisher"].keys() == package["maintainers"][0].keys() == {"username", "email"}
    assert package["date"] == "2024-01-01T00:00:00.000Z"
    assert package["links"] == {"homepage": "https://x.example"}


def test_odd_manifests_still_make_results():
    package = entry(keywords={"x": 1}, description=5, author=["x"], homepage=None, _npmUser=None)["package"]

    assert (package["keywords"], package["description"]) == ([], "")
    assert search.entry(hosted()) is None


def test_hosted_results_come_first_and_pages_do_not_overlap():
    ours = [entry(f"p{i}") for i in range(3)]
    theirs = [{"package": {"name": f"u{i}"}} for i in range(5)]
    first = search.parse_query({"text": "p1", "size": "4"})
    second = search.parse_query({"text": "p1", "size": "4", "from": "4"})

    page = search.page(first, ours, theirs, 100, "now")
    names = [one["package"]["name"] for one in page["objects"]]

    assert names == ["p1", "p0", "p2", "u0"]
    assert page["total"] == 103
    assert "from=0" in search.upstream_path(first, 3)
    assert "from=1" in search.upstream_path(second, 3)
    assert search.page(second, ours, theirs, 100, "now")["objects"] == theirs[:4]


def test_sizes_are_bounded_and_nonsense_is_refused():
    assert search.parse_query({"size": "9999"}).size == search.MAX_SIZE
    for query in ({"size": "x"}, {"from": "-1"}, {"from": "1e3"}):
        with pytest.raises(Invalid):
            search.parse_query(query)


def test_an_upstreams_page_is_filtered():
    body = json.dumps({"objects": [{"package": {"name": "ok"}}, {"package": {"name": "hidden"}}], "total": 2}).encode()

    assert search.parse_page(body, lambda name: name == "ok") == ([{"package": {"name": "ok"}}], 2)


DEEP = b'{"objects": %s}' % (b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"objects": 5}', b'{"objects": [1]}', b'{"objects": [{"package": {"name": "../x"}}]}', DEEP],
)
def test_an_upstreams_nonsense_is_corrupt(body):
    with pytest.raises(UpstreamCorrupt):
        search.parse_page(body, lambda _: True)


def test_every_word_that_could_be_a_name_is_known():
    assert list(search.parse_query({"text": "lib scope:acme"}).names()) == ["lib", "scope", "acme", "@acme/"]
    assert list(search.parse_query({"text": '"Lib",(@acme/x@1.0.0).'}).names()) == ["lib", "@acme/x", "@1.0.0"]
