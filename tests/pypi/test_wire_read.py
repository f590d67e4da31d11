"""What an upstream's page may and may not make us believe."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi.wire import PyPIFormat
from adapters.pypi.wire_read import read_page
from gateway.errors import UpstreamCorrupt
from gateway.format import Document
from gateway.model import File

A, B = "a" * 64, "b" * 64
URL = "https://up.example/simple/foo/"
HOSTS = frozenset({"files.example"})


def entry(filename="foo-1.0-py3-none-any.whl", **changes):
    made = {"filename": filename, "url": f"https://files.example/x/{filename}", "hashes": {"sha256": A}} | changes
    return {key: value for key, value in made.items() if value is not ...}


def read(*entries, url=URL, **page):
    body = json.dumps({"meta": {"api-version": "1.1"}, "name": "foo", "files": list(entries)} | page).encode()
    return read_page("foo", Document(body, "application/vnd.pypi.simple.v1+json", url), "up", HOSTS)


def read_html(text, url=URL):
    return read_page("foo", Document(text.encode(), "text/html", url), "up", HOSTS)


def test_an_entry_keeps_everything_that_its_upstream_said():
    listing = read(
        entry(
            **{
                "size": 12,
                "upload-time": "2024-01-02T03:04:05.123456Z",
                "requires-python": ">=3.8",
                "yanked": "broken",
                "core-metadata": {"sha256": B},
                "provenance": "https://up.example/p",
            }
        ),
        **{"project-status": {"status": "archived", "reason": "done"}, "meta": {"_last-serial": 7}},
    )

    assert listing.facts == {"status": "archived", "reason": "done", "serial": 7}
    assert listing.files == (
        File(
            "foo-1.0-py3-none-any.whl",
            "1.0",
            {"sha256": A},
            12,
            "2024-01-02T03:04:05.123456Z",
            "https://files.example/x/foo-1.0-py3-none-any.whl",
            "up",
            {
                "requires_python": ">=3.8",
                "yanked": "broken",
                "metadata_sha256": B,
                "provenance": "https://up.example/p",
            },
        ),
    )


@pytest.mark.parametrize(
    "bad",
    [
        entry(hashes={"sha256": "a" * 63}),
        entry(hashes={"sha256": "g" * 64}),
        entry(hashes={"sha256": A, "md5": "short"}),
        entry(hashes={"sha256": 1}),
        entry(hashes="sha256"),
        entry("bar-1.0-py3-none-any.whl"),
        entry("foo-1.0.exe"),
        entry("../foo-1.0.tar.gz"),
        entry("foo-1.0.tar.gz\r\nX: y"),
        entry(url="ftp://files.example/foo-1.0-py3-none-any.whl"),
        entry(url="file:///etc/passwd"),
        entry(url="https://169.254.169.254/foo-1.0-py3-none-any.whl"),
        entry(url="https://user:pw@files.example/foo"),
        entry(url="https://files.example@evil.example/foo"),
        entry(url="https://files.example:8443/foo"),
        entry(url="http://files.example/foo"),
        entry(url="https://files.example.evil.example/foo"),
        entry(url="https://evil.example\\@files.example/foo"),
        entry(url="https://[::1/foo"),
        entry(url="https://files.example:99999/foo"),
        entry(url="https://files.example"),
        entry(url=...),
        entry(filename=3),
        "text",
        None,
        [],
    ],
    ids=repr,
)
def test_an_entry_that_cannot_be_true_is_dropped_and_the_rest_stays(bad):
    listing = read(bad, entry("foo-2.0.tar.gz"))

    assert [file.filename for file in listing.files] == ["foo-2.0.tar.gz"]


@pytest.mark.parametrize("key", ["size", "upload-time", "yanked", "requires-python", "core-metadata", "provenance"])
@pytest.mark.parametrize("value", [None, {}, [], -1, 1.5])
def test_a_null_or_foreign_value_never_reaches_the_model(key, value):
    (file,) = read(entry(**{key: value})).files

    assert file.size is None or file.size >= 0
    assert file.uploaded_at is None
    assert file.facts in ({}, {"yanked": True})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05.5Z", "2024-01-02T03:04:05.5Z"),
        ("2024-01-02T05:04:05+02:00", "2024-01-02T03:04:05Z"),
        ("2024-01-02T03:04:05", None),
        ("2024-99-02T03:04:05Z", None),
        ("0001-01-01T00:00:00+12:00", None),
        ("yesterday", None),
        (7, None),
    ],
)
def test_upload_times_pass_unchanged_or_become_utc_or_go(text, kept):
    (file,) = read(entry(**{"upload-time": text})).files

    assert file.uploaded_at == kept


@pytest.mark.parametrize(
    ("keys", "facts"),
    [
        ({"core-metadata": {"sha256": B}}, {"metadata_sha256": B}),
        ({"core-metadata": False, "data-dist-info-metadata": {"sha256": B}}, {"metadata_sha256": B}),
        ({"dist-info-metadata": {"sha256": B}}, {"metadata_sha256": B}),
        ({"core-metadata": True}, {"has_metadata": True}),
        ({"core-metadata": {"sha512": "c" * 128}}, {"has_metadata": True}),
        ({"core-metadata": {"sha256": "wrong"}}, {}),
        ({"core-metadata": {}}, {}),
        ({"core-metadata": "yes"}, {}),
        ({"yanked": ""}, {"yanked": True}),
        ({"yanked": True}, {"yanked": True}),
        ({"yanked": "a\nb"}, {"yanked": "a b"}),
        ({"yanked": False}, {}),
        ({"provenance": "https://evil.example/p"}, {}),
        ({"provenance": "javascript:alert(1)"}, {}),
    ],
)
def test_promises_are_kept_only_where_they_can_be_checked(keys, facts):
    (file,) = read(entry(**keys)).files

    assert file.facts == facts


def test_upper_case_digests_are_the_same_digests():
    (file,) = read(entry(hashes={"sha256": "A" * 64, "sha3_256": "whatever"})).files

    assert file.hashes == {"sha256": A}


def test_an_unknown_status_is_no_status():
    assert read(entry(), **{"project-status": {"status": "haunted"}}).facts == {}
    assert read(entry(), **{"project-status": None}).facts == {}


def test_a_quarantined_package_has_no_files():
    listing = read(entry(), **{"project-status": {"status": "quarantined", "reason": "malware"}})

    assert listing.files == ()
    assert listing.facts == {"status": "quarantined", "reason": "malware"}


def test_html_resolves_against_base_and_final_url_and_drops_the_markup():
    listing = read_html(
        f"""<!DOCTYPE html><html><head><base href="/packages/"><meta name="pypi:repository-version" content="1.0">
        <meta name="pypi:project-status" content="deprecated"></head><body><script>var x = '<a href="evil">'</script>
        <!-- <a href="foo-9.0.tar.gz">no</a> -->
        <a href="../up/foo-1.0.tar.gz#sha256={A}" data-requires-python="&gt;=3.8" data-yanked="" >foo-1.0.tar.gz</a>
        <A HREF='foo%2D2.0+local-py3-none-any.whl#sha256={B}' data-dist-info-metadata='sha256={A}'
           onclick="alert(1)" data-yanked="bad &lt;b&gt;">x</A>
        <a href=https://files.example/foo-3.0.tar.gz#md5={"c" * 32}>unquoted</a>
        <a href="https://evil.example/foo-4.0.tar.gz">elsewhere</a><a name="anchor">no href</a>"""
    )

    assert [(f.filename, f.url, dict(f.hashes), dict(f.facts)) for f in listing.files] == [
        (
            "foo-1.0.tar.gz",
            "https://up.example/up/foo-1.0.tar.gz",
            {"sha256": A},
            {"requires_python": ">=3.8", "yanked": True},
        ),
        (
            "foo-2.0+local-py3-none-any.whl",
            "https://up.example/packages/foo%2D2.0+local-py3-none-any.whl",
            {"sha256": B},
            {"metadata_sha256": A, "yanked": "bad <b>"},
        ),
        ("foo-3.0.tar.gz", "https://files.example/foo-3.0.tar.gz", {"md5": "c" * 32}, {}),
    ]
    assert listing.facts == {"status": "deprecated"}


def test_a_mislabelled_page_is_read_for_what_it_is():
    body = json.dumps({"files": [entry()]}).encode()

    listing = read_page("foo", Document(b"\n" + body, "text/html", URL), "up", HOSTS)

    assert len(listing.files) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not found",
        b"{",
        b"[]",
        b"{}",
        b'{"files": null}',
        b'{"files": {}}',
        b'{"files": [' + b"[" * 100_000,
        b'{"files": [], "x": ' + b"[" * 100_000,
        b"<html><form action=/login></form></html>",
        b"<html><a href=/help>sign in to see foo</a></html>",
    ],
    ids=range(11),
)
def test_what_is_no_simple_page_is_never_an_empty_listing(body):
    with pytest.raises(UpstreamCorrupt):
        read_page("foo", Document(body, "text/html", URL), "up", HOSTS)


def test_an_empty_page_that_says_it_is_one_is_believed():
    page = '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"></head></html>'

    assert read_html(page).files == ()
    assert read_html(page).facts == {}


@pytest.mark.parametrize(
    "text",
    [
        "<!doctype html>" + "<a href='" * 20_000,
        "<!doctype html><a " + " " * 200_000,
        "<!doctype html>" + "<!--" * 50_000,
        "<!doctype html>" + "<a href=x " * 20_000,
        "<!doctype html><a " + "a=" * 100_000,
        "<!doctype html>" + "<script>" * 20_000,
        "<!doctype html><a href='&#" + "9" * 10_000 + ";'>",
    ],
    ids=range(7),
)
def test_hostile_markup_costs_linear_time_and_no_crash(text):
    with pytest.raises(UpstreamCorrupt):
        read_html(text)


@given(st.text(alphabet=st.sampled_from(list("<>a/='\"! -#&;[]hrefbs\n\0metcipl")), max_size=200))
def test_no_markup_makes_the_reader_crash(text):
    try:
        listing = read_html("<" + text)
    except UpstreamCorrupt:
        return
    assert listing.files == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = ["filename", "url", "hashes", "size", "upload-time", "yanked", "core-metadata", "provenance", "requires-python"]


@given(
    st.lists(json_values | st.dictionaries(st.sampled_from(KEYS), json_values), max_size=4), json_values, json_values
)
def test_no_json_makes_the_reader_crash_or_spoils_its_neighbours(entries, status, meta):
    listing = read(*entries, entry("foo-7.tar.gz"), **{"project-status": status, "meta": meta})

    assert [file.filename for file in listing.files] == ["foo-7.tar.gz"]


def test_sidecars_are_asked_for_only_where_the_upstream_promised_them():
    form = PyPIFormat()
    (promised,) = read(entry(url="https://files.example/a/foo.whl?x=1", **{"core-metadata": {"sha256": B}})).files
    (silent,) = read(entry()).files
    hosted = File("foo-1.0.tar.gz", "1.0", {"sha256": A}, facts={"metadata_sha256": B})

    assert form.sidecar_url(promised, "metadata") == "https://files.example/a/foo.whl.metadata?x=1"
    assert form.sidecar_url(promised, "asc") is None
    assert form.sidecar_url(silent, "metadata") is None
    assert form.sidecar_url(hosted, "metadata") is None


def test_a_page_whose_files_are_all_on_another_host_says_which():
    body = json.dumps(
        {
            "meta": {"api-version": "1.0"},
            "name": "foo",
            "files": [{"filename": "foo-1.0.tar.gz", "url": "https://elsewhere.example/foo-1.0.tar.gz", "hashes": {}}],
        }
    ).encode()
    document = Document(body, "application/vnd.pypi.simple.v1+json", "https://upstream.example/simple/foo/")

    with pytest.raises(UpstreamCorrupt, match=r"elsewhere\.example"):
        read_page("foo", document, "up", frozenset())
