"""What headers say about time."""

import pytest

from gateway.upstream.cache_control import LONGEST_AGE, max_age, parse_directives, retry_after

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Cache-Control": "public"}, None),
        ({"Cache-Control": "max-age=600, public"}, 600.0),
        ({"Cache-Control": "MAX-AGE=600"}, 600.0),
        ({"Cache-Control": 'max-age="600"'}, 600.0),
        ({"Cache-Control": "max-age=60, s-maxage=300"}, 300.0),
        ({"Cache-Control": "max-age=600", "Age": "200"}, 400.0),
        ({"Cache-Control": "max-age=600", "Age": "900"}, 0.0),
        ({"Cache-Control": "max-age=600", "Age": "soon"}, 600.0),
        ({"Cache-Control": "max-age=never"}, 0.0),
        ({"Cache-Control": "max-age=-1"}, 0.0),
        ({"Cache-Control": "max-age=99999999999999999999"}, LONGEST_AGE),
        ({"Cache-Control": "no-store, max-age=600"}, 0.0),
        ({"Cache-Control": "no-cache"}, 0.0),
        ({"Expires": "Sun, 06 Nov 1994 08:59:37 GMT"}, 600.0),
        ({"Expires": "Sun, 06 Nov 1994 08:59:37 GMT", "Date": "Sun, 06 Nov 1994 08:58:37 GMT"}, 60.0),
        ({"Expires": "0"}, 0.0),
        ({"Expires": "Sun, 06 Nov 1994 08:59:37 GMT", "Cache-Control": "max-age=5"}, 5.0),
    ],
)
def test_the_lifetime_of_an_answer(headers: dict[str, str], seconds: float | None) -> None:
    assert max_age(headers, NOW) == seconds


def test_the_first_of_two_directives_wins() -> None:
    assert parse_directives("max-age=1,, max-age=2 , =x, public") == {"max-age": "1", "public": ""}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("999999999999999", 999999999.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:40:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("", None),
    ],
)
def test_when_to_come_back(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds
