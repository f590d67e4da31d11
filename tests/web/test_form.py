"""The streaming form reader: any chunking, any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Invalid
from gateway.web.form import MAX_PARTS, Data, End, FormReader, Part

BOUNDARY = "----WebKitFormBoundaryX"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def encode(*parts, boundary=BOUNDARY):
    """A body of (name, filename | None, bytes) parts."""
    out = []
    for name, filename, body in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        out.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + body + b"\r\n"
        )
    return b"".join(out) + f"--{boundary}--\r\n".encode()


def read(body, size=None, content_type=TYPE, **options):
    """The parts again, as (name, filename, bytes), fed in chunks of `size`."""
    reader, found = FormReader(content_type, **options), []
    step = size or max(len(body), 1)
    for at in range(0, len(body), step):
        for event in reader.feed(body[at : at + step]):
            if isinstance(event, Part):
                found.append([event.name, event.filename, b""])
            elif isinstance(event, Data):
                found[-1][2] += event.body
            else:
                assert isinstance(event, End)
                found[-1] = tuple(found[-1])
    reader.close()
    return found


bodies = st.binary(max_size=60) | st.text(alphabet="\r\n-WebKitFormBoundaryX", max_size=60).map(str.encode)


@given(
    st.lists(
        st.tuples(st.sampled_from(["name", ":action", "content"]), st.none() | st.just("a.whl"), bodies), max_size=5
    ),
    st.integers(1, 200),
)
def test_what_was_sent_is_read_whatever_the_chunks(parts, size):
    parts = [part for part in parts if f"\r\n--{BOUNDARY}".encode() not in b"\r\n" + part[2] + b"\r"]

    body = encode(*parts)

    assert read(body, size) == (parts or [])


@given(st.lists(st.tuples(st.just("content"), st.none(), bodies), max_size=5), st.integers(1, 200), st.booleans())
def test_boundaries_may_follow_a_bare_line_feed_where_that_is_allowed(parts, size, is_bare):
    parts = [part for part in parts if f"\n--{BOUNDARY}".encode() not in b"\n" + part[2] and part[2][-1:] != b"\r"]
    body = encode(*parts)
    if is_bare:
        body = body.replace(f"\r\n--{BOUNDARY}".encode(), f"\n--{BOUNDARY}".encode())

    assert read(body, size, takes_bare_newlines=True) == (parts or [])


def test_an_empty_field_right_before_a_boundary_is_empty():
    assert read(encode(("a", None, b""), ("b", None, b"")), 1) == [("a", None, b""), ("b", None, b"")]


def test_a_preamble_an_epilogue_and_padding_are_skipped():
    body = b"hello\r\n" + encode(("a", None, b"1")).replace(b"X\r\n", b"X  \r\n", 1) + b"goodbye"

    assert read(body, 3) == [("a", None, b"1")]


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('form-data; name="a"', "a", None),
        ("form-data; name=a; filename=b.whl", "a", "b.whl"),
        ('form-data; name=":action"; filename=""', ":action", ""),
        ('FORM-DATA; NAME="a"', "a", None),
        ('form-data; name="a\\"b"', 'a"b', None),
        ('form-data; name="a%22b"', 'a"b', None),
        ("form-data; name=\"a\"; filename*=utf-8''b%C3%A9.whl", "a", "bé.whl"),
        ('form-data; name="a"; name="b"', "a", None),
        ('form-data; filename="x; name=evil"; name="a"', "a", "x; name=evil"),
    ],
)
def test_names_and_file_names_are_read_as_clients_write_them(disposition, name, filename):
    body = (
        f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: x/y\r\n\r\n1\r\n--{BOUNDARY}--".encode()
    )

    assert read(body) == [(name, filename, b"1")]


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "a" * 201,
        'multipart/form-data; boundary="a\\\nb"',
        "multipart/mixed; boundary=a",
    ],
)
def test_a_request_that_is_no_form_is_refused(content_type):
    with pytest.raises(Invalid):
        FormReader(content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--" + BOUNDARY.encode(),
        b"--" + BOUNDARY.encode() + b"\r\n",
        encode(("a", None, b"1"))[:-6],
        encode(("a", None, b"1")).replace(b"--\r\n", b"\r\n"),
        f"--{BOUNDARY}\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nnonsense\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}garbage\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--{BOUNDARY}--".encode(),
    ],
    ids=range(11),
)
def test_a_broken_form_is_never_taken_for_a_complete_one(body):
    for size in (1, 7, None):
        with pytest.raises(Invalid):
            read(body, size)


def test_headers_and_the_number_of_parts_are_bounded():
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=a\r\n".encode()

    with pytest.raises(Invalid, match="headers"):
        read(head + b"X: y\r\n" * 5_000 + b"\r\n1", 1000)
    with pytest.raises(Invalid, match="headers"):
        read(head + b"X: " + b"y" * 50_000, 1000)
    with pytest.raises(Invalid, match="parts"):
        read(encode(*[("a", None, b"")] * (MAX_PARTS + 1)))
    with pytest.raises(Invalid, match="boundary"):
        read(f"--{BOUNDARY}".encode() + b" " * 100_000, 1000)


def test_little_is_held_while_a_large_part_streams():
    reader = FormReader(TYPE)
    start = encode(("content", "a.whl", b""))[: -len(f"\r\n--{BOUNDARY}--\r\n")]
    list(reader.feed(start))

    for _ in range(100):
        assert sum(len(data.body) for data in reader.feed(bytes(65536))) > 65000
        assert len(reader._held) < 100


@given(
    st.lists(
        st.binary(max_size=80)
        | st.sampled_from(
            [b"--" + BOUNDARY.encode(), b"\r\n", b"\r\n\r\n", b"--", b'Content-Disposition: form-data; name="a"']
        ),
        max_size=12,
    ),
    st.integers(1, 50),
)
def test_no_bytes_make_the_reader_crash(pieces, size):
    try:
        read(b"".join(pieces), size)
    except Invalid:
        return
