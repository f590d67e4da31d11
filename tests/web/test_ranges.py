"""What conditional and partial requests get, as tables."""

import pytest
from multidict import CIMultiDict

from gateway.web.ranges import Portion, choose

ETAG = '"sha256:aa"'
SIZE = 1000
MODIFIED = 1_700_000_000.25  # Tue, 14 Nov 2023 22:13:20 GMT
THEN = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Tue, 14 Nov 2023 22:13:19 GMT"
LATER = "Tue, 14 Nov 2023 22:13:21 GMT"

WHOLE = Portion(200, 0, SIZE, SIZE)
NONE = Portion(416, size=SIZE)


def part(start: int, end: int) -> Portion:
    return Portion(206, start, end, SIZE)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-499", part(0, 500)),
        ("bytes=0-0", part(0, 1)),
        ("bytes=500-", part(500, SIZE)),
        ("bytes=999-", part(999, SIZE)),
        ("bytes=0-", part(0, SIZE)),
        ("bytes=0-99999", part(0, SIZE)),
        ("bytes=-1", part(999, SIZE)),
        ("bytes=-10000", part(0, SIZE)),
        ("BYTES=1-2", part(1, 3)),
        ("bytes= 1 - 2 ", part(1, 3)),
        ("bytes=,1-2,,", part(1, 3)),
        ("bytes=0001-0002", part(1, 3)),
        (f"bytes=0-{'9' * 5000}", part(0, SIZE)),
        ("bytes=1000-", NONE),
        ("bytes=999999-", NONE),
        (f"bytes={'9' * 5000}-", NONE),
        ("bytes=500-0", NONE),
        ("bytes=-0", NONE),
        ("bytes=0-1,5-6", WHOLE),
        ("bytes=0-1,999999-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=--1", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=1", WHOLE),
        ("bytes=+1-2", WHOLE),
        ("bytes=٣-٤", WHOLE),
        ("lines=0-1", WHOLE),
        ("0-1", WHOLE),
        ("", WHOLE),
    ],
)
def test_a_range_gets_its_part_or_the_whole_or_a_refusal(header: str, expected: Portion) -> None:
    assert choose("GET", {"Range": header}, etag=ETAG, size=SIZE) == expected


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-5", "bytes=5-"])
def test_no_byte_of_an_empty_file_can_be_named(header: str) -> None:
    assert choose("GET", {"Range": header}, etag=ETAG, size=0) == Portion(416, size=0)


def test_the_end_of_an_empty_file_is_all_of_it() -> None:
    assert choose("GET", {"Range": "bytes=-5"}, etag=ETAG, size=0) == Portion(200, 0, 0, 0)


def test_a_range_of_a_file_of_unknown_size_gets_everything() -> None:
    assert choose("GET", {"Range": "bytes=0-5"}, etag=ETAG, size=None) == Portion(200, 0, None, None)


def test_a_range_means_nothing_to_head() -> None:
    assert choose("HEAD", {"Range": "bytes=0-5"}, etag=ETAG, size=SIZE) == WHOLE


@pytest.mark.parametrize(
    ("header", "etag", "expected"),
    [
        (ETAG, ETAG, part(0, 6)),
        ('"other"', ETAG, WHOLE),
        ("W/" + ETAG, ETAG, WHOLE),
        ("W/" + ETAG, "W/" + ETAG, WHOLE),
        (ETAG, "W/" + ETAG, WHOLE),
        (ETAG, None, WHOLE),
        (THEN, ETAG, WHOLE),
        ("nonsense", ETAG, WHOLE),
        ("", ETAG, WHOLE),
    ],
)
def test_if_range_lets_only_the_strong_tag_through(header: str, etag: str | None, expected: Portion) -> None:
    assert choose("GET", {"Range": "bytes=0-5", "If-Range": header}, etag=etag, size=SIZE) == expected


@pytest.mark.parametrize(("date", "expected"), [(THEN, part(0, 6)), (EARLIER, WHOLE), (LATER, WHOLE)])
def test_if_range_with_a_date_wants_exactly_ours(date: str, expected: Portion) -> None:
    headers = {"Range": "bytes=0-5", "If-Range": date}

    assert choose("GET", headers, etag=ETAG, size=SIZE, modified=MODIFIED) == expected


@pytest.mark.parametrize(
    ("header", "etag", "status"),
    [
        (ETAG, ETAG, 304),
        ("W/" + ETAG, ETAG, 304),
        (ETAG, "W/" + ETAG, 304),
        ('"x", "a,b" , ' + ETAG, ETAG, 304),
        ("*", ETAG, 304),
        ('"x"', ETAG, 200),
        ("sha256:aa", ETAG, 200),
        (ETAG, None, 200),
    ],
)
def test_if_none_match_compares_weakly(header: str, etag: str | None, status: int) -> None:
    assert choose("GET", {"If-None-Match": header}, etag=etag, size=SIZE).status == status


@pytest.mark.parametrize(
    ("header", "etag", "status"),
    [(ETAG, ETAG, 200), ("*", ETAG, 200), ('"x"', ETAG, 412), ("W/" + ETAG, ETAG, 412), (ETAG, "W/" + ETAG, 412)],
)
def test_if_match_compares_strongly(header: str, etag: str, status: int) -> None:
    assert choose("GET", {"If-Match": header}, etag=etag, size=SIZE).status == status


def test_not_modified_comes_before_the_range() -> None:
    headers = {"If-None-Match": ETAG, "Range": "bytes=999999-"}

    assert choose("GET", headers, etag=ETAG, size=SIZE) == Portion(304, size=SIZE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Unmodified-Since": THEN}, 200),
        ({"If-Unmodified-Since": LATER}, 200),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": EARLIER, "If-Match": ETAG}, 200),
        ({"If-Modified-Since": THEN}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": THEN, "If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": "the day before"}, 200),
        ({"If-Unmodified-Since": "Tue, 99 Nov 2023 22:13:20 GMT"}, 200),
    ],
)
def test_dates_count_where_no_tag_does(headers: dict[str, str], status: int) -> None:
    assert choose("GET", headers, etag=ETAG, size=SIZE, modified=MODIFIED).status == status
    if "If-Match" not in headers and "If-None-Match" not in headers:
        assert choose("GET", headers, etag=ETAG, size=SIZE).status == 200


def test_header_names_are_found_in_any_spelling() -> None:
    assert choose("GET", CIMultiDict({"range": "bytes=1-2"}), etag=ETAG, size=SIZE) == part(1, 3)


@pytest.mark.parametrize(
    ("portion", "content_range", "length"),
    [
        (part(1, 3), "bytes 1-2/1000", 2),
        (NONE, "bytes */1000", 0),
        (WHOLE, None, SIZE),
        (Portion(200, 0, None, None), None, None),
        (Portion(304, size=SIZE), None, 0),
    ],
)
def test_a_portion_knows_its_headers(portion: Portion, content_range: str | None, length: int | None) -> None:
    assert portion.content_range == content_range
    assert portion.length == length
