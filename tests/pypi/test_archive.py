"""Archives from strangers: what is read, what is refused, and how little it costs."""

import gzip
import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pypi import archive
from adapters.pypi.archive import read_archive
from adapters.pypi.names import parse_filename
from gateway.errors import Invalid, NameMismatch
from tests.fakes.artifacts import sdist, tar_gz_of, wheel, zip_of

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"
INFO = "foo-1.0.dist-info"
META = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"
GOOD_WHEEL = {"foo.py": b"", f"{INFO}/METADATA": META, f"{INFO}/WHEEL": b"", f"{INFO}/RECORD": b""}


@pytest.fixture
def read(tmp_path):
    def reading(body, filename=WHEEL):
        path = tmp_path / "upload.part"
        path.write_bytes(body)
        return read_archive(path, parse_filename(filename, "foo"), filename)

    return reading


def tar(*members):
    """A .tar.gz of (TarInfo, body) pairs."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, body in members:
            info.size = len(body) if info.isreg() else 0
            made.addfile(info, io.BytesIO(body))
    return gzip.compress(target.getvalue())


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


PKG_INFO = (member("foo-1.0/PKG-INFO"), META)


def test_a_wheels_metadata_is_read_byte_for_byte(read):
    built = wheel(requires_dist=("idna",), description="Ünïcode\r\n").build("foo", "1.0")

    found = read(built.body, built.filename)

    assert found.metadata == built.metadata
    assert found.top == INFO
    assert f"{INFO}/WHEEL" in found.texts


def test_an_sdists_pkg_info_is_read_byte_for_byte(read):
    built = sdist().build("foo", "1.0")

    assert read(built.body, built.filename).metadata == built.metadata
    assert read(zip_of({"foo-1.0/PKG-INFO": META, "foo-1.0/a.py": b""}), "foo-1.0.zip").metadata == META


def test_a_nested_pkg_info_is_not_taken_for_the_real_one(read):
    body = tar_gz_of({"foo-1.0/foo.egg-info/PKG-INFO": b"other", "foo-1.0/PKG-INFO": META})

    assert read(body, SDIST).metadata == META


@pytest.mark.parametrize(
    "content",
    [
        {k: v for k, v in GOOD_WHEEL.items() if not k.endswith("/METADATA")},
        {k: v for k, v in GOOD_WHEEL.items() if not k.endswith("/WHEEL")},
        {k: v for k, v in GOOD_WHEEL.items() if not k.endswith("/RECORD")},
        {"foo.py": b""},
        {**GOOD_WHEEL, "bar-1.0.dist-info/METADATA": META},
        {k.replace("foo-1.0", "bar-1.0"): v for k, v in GOOD_WHEEL.items()},
        {k.replace("foo-1.0", "foo-1.1"): v for k, v in GOOD_WHEEL.items()},
        {**GOOD_WHEEL, "../evil.py": b""},
        {**GOOD_WHEEL, "/etc/passwd": b""},
        {**GOOD_WHEEL, "a/../../evil.py": b""},
        {**GOOD_WHEEL, "a\\..\\evil.py": b""},
        {**GOOD_WHEEL, "C:evil.py": b""},
        {**GOOD_WHEEL, "a//b": b""},
        {**GOOD_WHEEL, "a\nb": b""},
    ],
    ids=range(14),
)
def test_a_wheel_that_is_not_one_is_refused(read, content):
    with pytest.raises((Invalid, NameMismatch)):
        read(zip_of(content))


def test_a_name_with_a_nul_in_it_is_refused(read):
    body = zip_of({**GOOD_WHEEL, "aXb": b""}).replace(b"aXb", b"a\0b")

    with pytest.raises(Invalid, match="unsafe name"):
        read(body)


def test_two_members_of_one_name_are_refused(read):
    with pytest.raises(Invalid, match="two members"):
        read(zip_of({**GOOD_WHEEL, "bar.py": b"1", "baz.py": b"2"}).replace(b"baz.py", b"bar.py"))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"#!/bin/sh\n" + body,
        lambda body: body + b"PK\5\6" + bytes(18),
        lambda body: body + b"trailing",
        lambda body: body[:-2] + struct.pack("<H", 4) + b"note",
        lambda body: body[:-30],
        lambda _: b"",
        lambda _: b"PK",
        lambda _: b"not a zip at all, but long enough to be one" * 3,
        lambda body: body.replace(b"PK\1\2", b"PK\1\3"),
    ],
    ids=range(9),
)
def test_a_zip_that_two_readers_may_read_differently_is_refused(read, change):
    with pytest.raises(Invalid):
        read(change(zip_of(GOOD_WHEEL)))


def test_a_directory_of_a_million_members_is_refused_before_it_is_read(read):
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 50_000_000, 0, 0)

    with pytest.raises(Invalid, match="directory has 50000000 bytes"):
        read(b"PK\3\4" + bytes(200) + end)


def test_a_64_bit_directory_is_bounded_too(read):
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 204, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 10, 0, 0)

    with pytest.raises(Invalid, match="directory has"):
        read(b"PK\3\4" + bytes(200) + record + locator + end)


def test_an_encrypted_or_strangely_packed_member_is_refused(read):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_BZIP2) as made:
        for name, body in GOOD_WHEEL.items():
            made.writestr(name, body)

    with pytest.raises(Invalid, match="not deflated"):
        read(target.getvalue())


def test_a_link_in_a_wheel_is_refused(read):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name, body in GOOD_WHEEL.items():
            made.writestr(name, body)
        link = zipfile.ZipInfo("evil")
        link.external_attr = 0o120777 << 16
        made.writestr(link, "/etc/passwd")

    with pytest.raises(Invalid, match="is a link"):
        read(target.getvalue())


def test_a_zip_bomb_is_refused_by_its_ratio(read):
    with pytest.raises(Invalid, match="inflates"):
        read(zip_of({**GOOD_WHEEL, "bomb": bytes(65 * 1024**2)}))


def test_metadata_that_inflates_beyond_its_bound_is_refused(read):
    with pytest.raises(Invalid, match="more than"):
        read(zip_of({**GOOD_WHEEL, f"{INFO}/METADATA": bytes(9 * 1024**2)}))


def test_metadata_larger_than_its_directory_claims_is_refused(read):
    content = zip_of({**GOOD_WHEEL, f"{INFO}/METADATA": META * 100})
    honest = struct.pack("<L", len(META) * 100)
    body = content.replace(honest, struct.pack("<L", 10))

    with pytest.raises(Invalid):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        tar(),
        tar((member("foo-1.0/setup.py"), b"")),
        tar(PKG_INFO, (member("other/setup.py"), b"")),
        tar(PKG_INFO, (member("setup.py"), b"")),
        tar(PKG_INFO, PKG_INFO),
        tar(PKG_INFO, (member("foo-1.0/../../evil"), b"")),
        tar(PKG_INFO, (member("/etc/passwd"), b"")),
        tar(PKG_INFO, (member("foo-1.0/a\\b"), b"")),
        tar(PKG_INFO, (member("foo-1.0/link", tarfile.SYMTYPE, "/etc/passwd"), b"")),
        tar(PKG_INFO, (member("foo-1.0/link", tarfile.SYMTYPE, "../../etc/passwd"), b"")),
        tar(PKG_INFO, (member("foo-1.0/link", tarfile.SYMTYPE, "a/../../.."), b"")),
        tar(PKG_INFO, (member("foo-1.0/link", tarfile.LNKTYPE, "../secret"), b"")),
        tar(PKG_INFO, (member("foo-1.0/link", tarfile.LNKTYPE, "/secret"), b"")),
        tar(PKG_INFO, (member("foo-1.0/dev", tarfile.CHRTYPE), b"")),
        tar(PKG_INFO, (member("foo-1.0/pipe", tarfile.FIFOTYPE), b"")),
        tar((member("foo-1.0/PKG-INFO", tarfile.SYMTYPE, "setup.py"), b"")),
        tar((member("foo-1.0/PKG-INFO", tarfile.DIRTYPE), b"")),
        tar((member("foo-1.0/PKG-INFO"), bytes(9 * 1024**2))),
        gzip.compress(b"not a tar archive" * 100),
        gzip.compress(b""),
        b"not gzip",
        b"",
        tar(PKG_INFO)[:-20],
        zip_of(GOOD_WHEEL),
    ],
    ids=range(24),
)
def test_an_sdist_that_is_not_one_is_refused(read, body):
    with pytest.raises(Invalid):
        read(body, SDIST)


def test_links_inside_an_sdist_are_fine(read):
    body = tar(
        PKG_INFO,
        (member("./foo-1.0/a/link", tarfile.SYMTYPE, "../PKG-INFO"), b""),
        (member("foo-1.0/hard", tarfile.LNKTYPE, "foo-1.0/PKG-INFO"), b""),
    )

    assert read(body, SDIST).metadata == META


def test_a_tar_bomb_is_refused_while_it_inflates(read):
    with pytest.raises(Invalid, match="inflates"):
        read(tar((member("foo-1.0/bomb"), bytes(70 * 1024**2)), PKG_INFO), SDIST)


def test_a_bomb_after_the_end_of_the_archive_is_refused(read):
    plain = gzip.decompress(tar(PKG_INFO)) + bytes(70 * 1024**2)

    with pytest.raises(Invalid, match="inflates"):
        read(gzip.compress(plain), SDIST)


def test_a_sparse_file_that_claims_terabytes_is_refused(read):
    info = member("foo-1.0/sparse")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(2**50),
        "GNU.sparse.map": "0,0",
    }

    with pytest.raises(Invalid, match="inflates"):
        read(tar(PKG_INFO, (info, b"")), SDIST)


@pytest.mark.parametrize("size", [2**40, 10 * 1024**2])
def test_an_extended_header_of_any_claimed_size_is_not_read_into_memory(read, size):
    header = member("foo-1.0/x", tarfile.XHDTYPE)
    header.size = size

    with pytest.raises(Invalid, match="not believed"):
        read(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(20 * 1024**2)), SDIST)


def test_headers_that_hold_headers_without_end_are_refused(read):
    header = member("x", tarfile.XHDTYPE).tobuf(tarfile.GNU_FORMAT)

    with pytest.raises(Invalid):
        read(gzip.compress(header * 5_000), SDIST)


def test_a_sparse_map_without_an_end_is_refused(read):
    info = member("foo-1.0/sparse")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "x",
        "GNU.sparse.realsize": "1",
    }
    body = gzip.decompress(tar((info, b"9" * 600_000)))

    with pytest.raises(Invalid):
        read(gzip.compress(body), SDIST)


def test_more_members_than_any_sdist_has_are_refused(read, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)

    with pytest.raises(Invalid, match="more than 10 members"):
        read(tar(PKG_INFO, *[(member(f"foo-1.0/{i}"), b"") for i in range(20)]), SDIST)
    with pytest.raises(Invalid, match="more than 10 members"):
        read(zip_of({**GOOD_WHEEL, **{f"{i}.py": b"" for i in range(20)}}))


GOOD_BYTES = (zip_of(GOOD_WHEEL), tar(PKG_INFO))


@given(st.data())
def test_no_damage_makes_the_reader_crash(tmp_path_factory, data):
    which = data.draw(st.integers(0, 1))
    body = bytearray(GOOD_BYTES[which])
    if which == 1:
        body = bytearray(gzip.decompress(bytes(body)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(body) if which == 0 else gzip.compress(bytes(body), 1))

    filename = (WHEEL, SDIST)[which]
    try:
        read_archive(path, parse_filename(filename, "foo"), filename)
    except (Invalid, NameMismatch):
        return
