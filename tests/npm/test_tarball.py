import gzip
import io
import json
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.npm.tarball import Limits, inspect
from gateway.errors import Invalid, TooLarge
from tests.fakes.artifacts import tarball

PACKAGE = json.dumps({"name": "lib", "version": "1.0.0"}).encode()


def member(name, body=b"", **facts):
    info = tarfile.TarInfo(name)
    info.size = len(body)
    for key, value in facts.items():
        setattr(info, key, value)
    return info, body


def tar(*members, form=tarfile.PAX_FORMAT):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for info, body in members:
            archive.addfile(info, io.BytesIO(body))
    return target.getvalue()


@pytest.fixture
def look(tmp_path):
    def look(body, limits=None, *, packed=False):
        path = tmp_path / "upload.tgz"
        path.write_bytes(body if packed else gzip.compress(body))
        return inspect(path, limits)

    return look


def test_a_tarball_is_counted_and_its_manifest_read(look):
    built = tarball(package_json={"scripts": {"test": "x"}}, size=200_000).build("@acme/lib", "1.0.0")

    contents = look(built.body, packed=True)

    assert contents.manifest["name"] == "@acme/lib"
    assert contents.file_count == built.facts["dist"]["fileCount"]
    assert contents.unpacked_size == built.facts["dist"]["unpackedSize"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_tar_are_read(look, form):
    name = "package/" + "/".join(["long-folder-name"] * 8) + "/index.js"

    assert look(tar(member(name, b"12345"), member("package/package.json", PACKAGE), form=form)).file_count == 2


def test_any_top_folder_and_no_end_of_archive_are_allowed(look):
    body = tar(member("some-other-root/package.json", PACKAGE))

    assert look(body[:1024]).manifest["name"] == "lib"


def test_shrinkwrap_and_gyp_are_noticed(look):
    contents = look(
        tar(member("p/package.json", PACKAGE), member("p/binding.gyp"), member("p/npm-shrinkwrap.json", b"{}"))
    )

    assert (contents.has_gyp, contents.has_shrinkwrap) == (True, True)


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "package/../../evil",
        "package\\..\\evil",
        "C:/evil",
        "package/C:evil",
        "..",
        "package/a/../b",
    ],
)
def test_a_path_that_leaves_the_package_is_refused(look, name):
    with pytest.raises(Invalid):
        look(tar(member("package/package.json", PACKAGE), member(name)))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "..", "a/../../../x", ""])
def test_a_link_that_leaves_the_package_is_refused(look, kind, target):
    with pytest.raises(Invalid):
        look(tar(member("package/package.json", PACKAGE), member("package/a", type=kind, linkname=target)))


def test_a_link_within_the_package_is_left_alone(look):
    link = member("package/a/b", type=tarfile.SYMTYPE, linkname="../index.js")

    assert look(tar(member("package/package.json", PACKAGE), link)).file_count == 1


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S", b"Z"])
def test_a_manifest_or_an_entry_of_an_odd_kind_is_refused(look, kind):
    with pytest.raises(Invalid):
        look(tar(member("package/package.json", type=kind, linkname="package/x")))


def test_two_manifests_are_refused(look):
    for other in ("package/package.json", "other/package.json", "package/./package.json"):
        with pytest.raises(Invalid):
            look(tar(member("package/package.json", PACKAGE), member(other, PACKAGE)))


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no tar at all", tar(member("package/index.js")), tar(member("package/package.json", b"[]"))),
        tar(member("package/package.json", b"[" * 100_000)),
    ],
)
def test_a_tarball_without_a_manifest_is_refused(look, body):
    with pytest.raises(Invalid):
        look(body)


def test_a_damaged_gzip_stream_is_refused(look):
    whole = gzip.compress(tar(member("package/package.json", PACKAGE)))
    for body in (b"", PACKAGE, whole[:-1], whole[:-9], whole[:-8] + bytes(8), whole + b"x", whole + whole):
        with pytest.raises(Invalid):
            look(body, packed=True)


def test_a_damaged_or_cut_tar_is_refused(look):
    body = tar(member("package/package.json", PACKAGE), member("package/x", b"y" * 600))
    for broken in (body[:700], body[:2000], b"x" + body[1:], body + b"hidden", body[:100] + b"9" + body[101:]):
        with pytest.raises(Invalid):
            look(broken)


def test_a_bomb_is_refused_before_it_is_unpacked(look):
    with pytest.raises(TooLarge):
        look(tar(member("package/package.json", PACKAGE), member("package/zeros", bytes(5_000_000))), Limits(1_000_000))


def test_too_many_entries_are_refused(look):
    with pytest.raises(TooLarge):
        look(tar(*(member(f"package/{i}") for i in range(30))), Limits(entries=20))


def test_an_endless_header_is_refused(look):
    with pytest.raises(Invalid):
        look(tar(member("package/" + "x" * 100_000), member("package/package.json", PACKAGE)))


def test_a_global_header_may_comment_but_not_rename(look):
    for headers, is_fine in (({"comment": "abc"}, True), ({"path": "evil"}, False)):
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", pax_headers=headers) as archive:
            info, body = member("package/package.json", PACKAGE)
            archive.addfile(info, io.BytesIO(body))
        if is_fine:
            assert look(target.getvalue()).file_count == 1
        else:
            with pytest.raises(Invalid):
                look(target.getvalue())


SAMPLE = tar(member("package/package.json", PACKAGE), member("package/" + "x" * 120, b"1234"))


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_no_flipped_byte_does_worse_than_being_refused(tmp_path_factory, flips):
    body = bytearray(SAMPLE)
    for where, value in flips:
        body[where] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed.tgz"
    path.write_bytes(gzip.compress(bytes(body), 1))
    try:
        inspect(path)
    except Invalid:
        return
