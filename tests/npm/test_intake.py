import base64
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.npm.intake import Scanner
from gateway.errors import Invalid, TooLarge

BLOB = bytes(range(256)) * 5 + b"tail"


def scan(body, size=10**9, limit=10**6):
    scanner = Scanner(limit)
    pieces = [piece for start in range(0, len(body), size) for piece in scanner.feed(body[start : start + size])]
    return b"".join(pieces), json.loads(scanner.finish()), scanner.tarball_name


def sent(blob=BLOB):
    return {
        "_attachments": {
            "@acme/lib-1.0.0.sigstore": {"content_type": "x", "data": '{"a\\"b": "{[]}"}', "length": 3},
            "@acme/lib-1.0.0.tgz": {"data": base64.b64encode(blob).decode(), "length": len(blob)},
        },
        "versions": {"1.0.0": {"_attachments": {"x": {"data": "kept"}}, "data": "kept", "a": [{"b": '"'}, "\\"]}},
        "data": "kept",
    }


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10**9])
@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_tarball_flows_out_and_the_rest_stays_whatever_the_order_and_the_chunks(size, order, indent):
    value = dict(reversed(sent().items())) if order else sent()

    blob, rest, name = scan(json.dumps(value, indent=indent).encode(), size)

    expected = sent()
    expected["_attachments"]["@acme/lib-1.0.0.tgz"]["data"] = ""
    assert blob == BLOB
    assert rest == expected
    assert name == "@acme/lib-1.0.0.tgz"


@pytest.mark.parametrize("size", [1, 2, 7, 10**9])
def test_escaped_base64_and_escaped_keys_are_understood(size):
    digits = base64.b64encode(b"\xff\xfe\xfb" * 5).decode().replace("/", "\\/").replace("+", "\\u002B")
    body = f'{{"\\u005fattachments": {{"a.tgz": {{"d\\u0061ta": "{digits}"}}}}}}'

    assert scan(body.encode(), size)[0] == b"\xff\xfe\xfb" * 5


def test_a_document_without_a_tarball_stays_whole():
    value = {"name": "lib", "versions": {"1.0.0": {"deprecated": "x"}}, "data": "y", "_attachments": {}}

    assert scan(json.dumps(value).encode()) == (b"", value, None)


@pytest.mark.parametrize(
    "digits", ["AAA", "A", "AA=A", "AA==AAAA", "====", "AAAA====", "AA A", "AAA\\n", "AAAü", "AAAA\\u0000", "A=A="]
)
@pytest.mark.parametrize("size", [1, 10**9])
def test_what_is_not_base64_is_refused(digits, size):
    with pytest.raises(Invalid):
        scan((f'{{"_attachments": {{"a.tgz": {{"data": "{digits}"}}}}}}').encode(), size)


def test_a_second_tarball_is_refused():
    with pytest.raises(Invalid):
        scan(b'{"_attachments": {"a.tgz": {"data": "AAAA"}, "b.tgz": {"data": "AAAA"}}}')
    with pytest.raises(Invalid):
        scan(b'{"_attachments": {"a.tgz": {"data": "AAAA", "data": "AAAA"}}}')


@pytest.mark.parametrize(
    "body", [b'{"a": ', b'{"a": "x', b'{"_attachments": {"a": {"data": "AAAA', b"[" * 300, b"}", b'{"a\\']
)
def test_a_broken_document_is_refused(body):
    with pytest.raises((Invalid, json.JSONDecodeError)):
        scan(body)


def test_the_rest_of_the_document_is_bounded():
    with pytest.raises(TooLarge):
        scan(b'{"readme": "%s"}' % (b"x" * 5000), limit=1000)
    with pytest.raises(Invalid):
        scan(b'{"%s": 1}' % (b"x" * 5000))


def test_a_large_tarball_is_never_held():
    chunk = base64.b64encode(bytes(48 * 1024))
    scanner = Scanner(10**6)
    scanner.feed(b'{"_attachments": {"a.tgz": {"data": "')
    tracemalloc.start()
    for _ in range(400):
        scanner.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert not scanner.feed(b'"}}}')
    assert peak < 4 * len(chunk)


@given(st.binary(max_size=200), st.integers(1, 7))
@settings(deadline=None)
def test_no_bytes_do_worse_than_being_refused(body, size):
    try:
        scan(body, size)
    except (Invalid, ValueError):
        return


@given(
    st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)),
    st.integers(1, 9),
)
@settings(deadline=None)
def test_any_document_is_kept_as_it_is(value, size):
    assert scan(json.dumps({"a": value}).encode(), size)[1] == {"a": value}
