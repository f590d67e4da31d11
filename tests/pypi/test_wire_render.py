"""Simple pages as clients read them: JSON and HTML from one model."""

import json
import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi.negotiate import HTML, JSON
from adapters.pypi.wire import PyPIFormat, render_listing, render_names
from adapters.pypi.wire_errors import render_error
from adapters.pypi.wire_read import read_page
from gateway.errors import AlreadyExists, Blocked, Forbidden, PackageUnknown, UpstreamTrouble
from gateway.format import Document
from gateway.model import File, Listing

A, B = "a" * 64, "b" * 64
BASE = "https://pkg.example/pypi/acme/tools/"


def listing(*files, **facts):
    return Listing("foo", files, facts)


def as_json(value, **options):
    return json.loads(render_listing(value, JSON, BASE, **options))


def as_html(value, **options):
    return render_listing(value, HTML, BASE, **options).decode()


FULL = File(
    "foo-1.0+x-py3-none-any.whl",
    "1.0+x",
    {"md5": "c" * 32, "sha256": A},
    12,
    "2024-01-02T03:04:05Z",
    facts={
        "requires_python": ">=3.8,<4",
        "yanked": "bad <b>",
        "metadata_sha256": B,
        "provenance": True,
        "gpg_sig": True,
    },
)
BARE = File("foo-2.0.tar.gz", "2.0", {})


def test_a_json_page_says_everything_known_and_nothing_else():
    page = as_json(listing(FULL, BARE, status="archived", reason="done", serial=9))

    assert page == {
        "meta": {"api-version": "1.4", "_last-serial": 9},
        "name": "foo",
        "project-status": {"status": "archived", "reason": "done"},
        "versions": ["1.0+x", "2.0"],
        "files": [
            {
                "filename": "foo-1.0+x-py3-none-any.whl",
                "hashes": {"sha256": A},
                "url": f"../../files/foo/{A}/foo-1.0%2Bx-py3-none-any.whl",
                "yanked": "bad <b>",
                "requires-python": ">=3.8,<4",
                "size": 12,
                "upload-time": "2024-01-02T03:04:05Z",
                "core-metadata": {"sha256": B},
                "data-dist-info-metadata": {"sha256": B},
                "provenance": f"{BASE}integrity/foo/1.0%2Bx/foo-1.0%2Bx-py3-none-any.whl/provenance",
                "gpg-sig": True,
            },
            {"filename": "foo-2.0.tar.gz", "hashes": {}, "url": "../../files/foo/-/foo-2.0.tar.gz", "yanked": False},
        ],
    }


def test_an_html_page_says_the_same_on_one_line_per_file():
    text = as_html(listing(FULL, BARE, status="archived", reason='"quoted"'))

    assert text.startswith("<!DOCTYPE html>")
    assert '<meta name="pypi:repository-version" content="1.4">' in text
    assert '<meta name="pypi:project-status-reason" content="&quot;quoted&quot;">' in text
    assert (
        f'<a href="../../files/foo/{A}/foo-1.0%2Bx-py3-none-any.whl#sha256={A}" '
        'data-requires-python="&gt;=3.8,&lt;4" data-yanked="bad &lt;b&gt;" '
        f'data-core-metadata="sha256={B}" data-dist-info-metadata="sha256={B}" '
        f'data-provenance="{BASE}integrity/foo/1.0%2Bx/foo-1.0%2Bx-py3-none-any.whl/provenance" '
        'data-gpg-sig="true">foo-1.0+x-py3-none-any.whl</a><br>' in text.splitlines()
    )
    assert '<a href="../../files/foo/-/foo-2.0.tar.gz">foo-2.0.tar.gz</a><br>' in text.splitlines()


def test_pages_at_another_depth_reach_the_same_files():
    assert f'href="../../../files/foo/{A}/' in as_html(listing(FULL), links="../../../")
    assert as_json(listing(FULL), links="../../../")["files"][0]["url"].startswith("../../../files/")


def test_links_may_name_our_address():
    assert f'href="{BASE}files/foo/{A}/' in as_html(listing(FULL), links=BASE)
    assert as_json(listing(FULL), links=BASE)["files"][0]["url"].startswith(f"{BASE}files/foo/{A}/")


def test_a_quarantined_package_shows_its_status_and_no_files_in_both_forms():
    value = listing(FULL, status="quarantined", reason="malware")

    page, text = as_json(value), as_html(value)

    assert (page["files"], page["versions"]) == ([], [])
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert "<a " not in text
    assert 'content="quarantined"' in text


def test_weak_hashes_are_still_promised():
    value = listing(File("foo-1.0.tar.gz", "1.0", {"md5": "c" * 32}))

    assert as_json(value)["files"][0]["hashes"] == {"md5": "c" * 32}
    assert f"#md5={'c' * 32}" in as_html(value)


texts = st.text(min_size=1, max_size=20)


@given(
    st.lists(
        st.builds(
            lambda number, size, yanked, requires, promise: File(
                f"foo-{number}.0.tar.gz",
                f"{number}.0",
                {"sha256": A},
                size,
                None,
                facts={
                    k: v
                    for k, v in {"yanked": yanked, "requires_python": requires, "metadata_sha256": promise}.items()
                    if v
                },
            ),
            st.integers(0, 99),
            st.none() | st.integers(0, 2**40),
            st.booleans() | texts,
            st.none() | texts,
            st.none() | st.just(B),
        ),
        max_size=5,
        unique_by=lambda file: file.filename,
    )
)
def test_both_forms_list_the_same_files_yanks_pythons_and_promises(files):
    value = listing(*files)

    page, text = as_json(value), as_html(value)

    anchors = re.findall(r"<a ([^>]*)>([^<]*)</a>", text)
    assert [name for _, name in anchors] == [file["filename"] for file in page["files"]]
    for (attributes, _), file in zip(anchors, page["files"], strict=True):
        found = {key: unescape(value) for key, value in re.findall(r'([a-z-]+)="([^"]*)"', attributes)}
        assert found["href"] == f"{file['url']}#sha256={A}"
        assert found.get("data-requires-python") == file.get("requires-python")
        assert ("data-yanked" in found) == (file["yanked"] is not False)
        assert found.get("data-yanked", "") == ("" if isinstance(file["yanked"], bool) else file["yanked"])
        assert found.get("data-core-metadata") == (f"sha256={B}" if "core-metadata" in file else None)
        assert None not in file.values()
        assert file["filename"].split("-")[1].removesuffix(".tar.gz") in page["versions"]


def test_our_own_pages_are_read_back_unchanged():
    url = BASE + "simple/foo/"
    for kind in (JSON, HTML):
        body = render_listing(listing(FULL), kind, BASE)

        (file,) = read_page("foo", Document(body, kind, url), "up", frozenset()).files

        assert file.url == f"{BASE}files/foo/{A}/foo-1.0%2Bx-py3-none-any.whl"
        assert file.facts["yanked"] == "bad <b>"
        assert file.facts["metadata_sha256"] == B


def test_the_root_list_names_packages_in_both_forms():
    assert json.loads(render_names(["a", "b-c"], JSON)) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": "a"}, {"name": "b-c"}],
    }
    assert '<a href="b-c/">b-c</a><br>' in render_names(["a", "b-c"], HTML).decode().splitlines()


def test_merging_lets_the_hosted_version_and_status_win():
    hosted = Listing("foo", (File("foo-1.0.tar.gz", "1.0", {"sha256": A}),), {"serial": 3})
    upstream = Listing(
        "foo",
        (
            File("foo-1.0.0-py3-none-any.whl", "1.0.0", {"sha256": B}, origin="up"),
            File("foo-2.0.tar.gz", "2.0", {"sha256": B}, origin="up"),
        ),
        {"status": "deprecated", "serial": 99},
    )

    merged = PyPIFormat().merge(hosted, upstream)

    assert [file.filename for file in merged.files] == ["foo-1.0.tar.gz", "foo-2.0.tar.gz"]
    assert merged.facts == {"status": "deprecated", "serial": None}
    assert as_json(merged)["meta"] == {"api-version": "1.4"}


def test_an_existing_file_is_400_and_says_so_where_every_client_looks():
    error = AlreadyExists("File already exists ('f', with sha256 hash 'h').")

    plain = render_error(error, "*/*")
    json_body = render_error(error, "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7")

    assert (plain.status, plain.reason) == (400, "File already exists ('f', with sha256 hash 'h').")
    assert plain.content_type == "text/plain; charset=utf-8"
    assert json_body.content_type == "application/json"
    assert json.loads(json_body.body) == {
        "code": "400 File already exists ('f', with sha256 hash 'h').",
        "message": "File already exists ('f', with sha256 hash 'h').",
        "title": "Bad Request",
    }
    assert "already exist" in (render_error(AlreadyExists("f has sha256 h"), "").reason or "")


def test_what_is_blocked_is_a_problem_document_with_a_reason_phrase():
    body = render_error(Blocked("foo 2.0 is too young"), "*/*")

    assert (body.status, body.reason, body.content_type) == (403, "foo 2.0 is too young", "application/problem+json")
    assert json.loads(body.body)["detail"] == "foo 2.0 is too young"


@pytest.mark.parametrize("error", [PackageUnknown("no such package"), Forbidden("no"), UpstreamTrouble("down")])
def test_other_errors_keep_their_status_and_say_what_is_wrong(error):
    body = render_error(error, "text/html")

    assert (body.status, body.body, body.reason) == (error.status, f"{error.message}\n".encode(), error.message)


@given(st.text())
def test_no_message_splits_the_status_line(message):
    reason = render_error(Forbidden(message), "").reason

    assert reason is not None
    assert len(reason) <= 200
    assert reason.encode("latin-1").isascii() or reason.isprintable()
    assert "\n" not in reason
    assert "\r" not in reason
