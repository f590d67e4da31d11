"""Gems that are not what they should be: refused from their headers, their YAML and their checksums."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from adapters.rubygems.archive import read_gem
from adapters.rubygems.spec import Clause
from adapters.rubygems.yaml_reader import read_yaml
from gateway.errors import Invalid
from tests.fakes.gems import checksums_yaml, gem, gemspec_yaml, tar_of

MEBIBYTE = 1024 * 1024


def parts(about: bytes | None = None) -> dict[str, bytes]:
    """The three files of a gem that is as it should be."""
    about = about or gemspec_yaml("tool", "1.0", "ruby", {}, {}, ">= 0", ">= 0", "for tests")
    found = {"metadata.gz": gzip.compress(about), "data.tar.gz": gzip.compress(b"\0" * 1024)}
    return {**found, "checksums.yaml.gz": gzip.compress(checksums_yaml(found))}


def read(tmp_path: Path, body: bytes):
    path = tmp_path / "tool.gem"
    path.write_bytes(body)
    return read_gem(path)


def member(name: str, kind: bytes, target: str = "") -> bytes:
    """One entry of a tar that is no plain file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
    return out.getvalue()[:512]


def test_what_stands_in_a_gem_is_read(tmp_path: Path) -> None:
    recipe = gem(
        platform="java", dependencies={"b": ">= 1, < 3"}, development={"rake": "~> 13.0"}, required_ruby=">= 3.1"
    )

    spec = read(tmp_path, recipe.build("tool", "1.10").body)

    assert (spec.name, spec.version, spec.platform) == ("tool", "1.10", "java")
    assert spec.dependencies[0].clauses == (Clause(">=", "1"), Clause("<", "3"))
    assert [one.is_runtime for one in spec.dependencies] == [True, False]
    assert spec.required_ruby == (Clause(">=", "3.1"),)
    assert (spec.authors, spec.email, spec.licenses) == (("Ada",), "ada@example.com", ("MIT",))


def test_every_part_must_be_there_once_and_nothing_else(tmp_path: Path) -> None:
    whole = parts()
    for missing in whole:
        with pytest.raises(Invalid, match="has no"):
            read(tmp_path, tar_of({name: body for name, body in whole.items() if name != missing}))
    for twice in whole:
        with pytest.raises(Invalid, match="twice"):
            read(tmp_path, tar_of([*whole.items(), (twice, whole[twice])]))
    for name in ("evil.rb", "../metadata.gz", "/metadata.gz", "metadata.gz ", "credentials.tar.gz"):
        with pytest.raises(Invalid, match="has no file"):
            read(tmp_path, tar_of({**whole, name: b"x"}))
    assert read(tmp_path, tar_of({**whole, "metadata.gz.sig": b"signed"})).name == "tool"


@pytest.mark.parametrize(
    "entry",
    [
        member("metadata.gz", tarfile.SYMTYPE, "/etc/passwd"),
        member("metadata.gz", tarfile.LNKTYPE, "data.tar.gz"),
        member("metadata.gz", tarfile.DIRTYPE),
        member("metadata.gz", tarfile.CHRTYPE),
        member("metadata.gz", b"x"),
        member("metadata.gz", b"L"),
        member("metadata.gz", b"S"),
    ],
)
def test_links_folders_devices_and_extended_headers_are_refused(tmp_path: Path, entry: bytes) -> None:
    rest = {name: body for name, body in parts().items() if name != "metadata.gz"}

    with pytest.raises(Invalid, match="other than plain files"):
        read(tmp_path, entry + tar_of(rest))


def test_what_is_no_tar_or_breaks_off_is_refused(tmp_path: Path) -> None:
    whole = tar_of(parts())

    for body in (b"", b"PK\3\4" + bytes(600), b"x" * 5000, whole[:700], whole[:100], whole[:512] + bytes(2000)):
        with pytest.raises(Invalid):
            read(tmp_path, body)
    with pytest.raises(Invalid, match="behind its end"):
        read(tmp_path, whole + b"more")
    damaged = bytearray(whole)
    damaged[3] ^= 1
    with pytest.raises(Invalid, match="damaged"):
        read(tmp_path, bytes(damaged))


def test_a_size_that_no_file_has_costs_nothing(tmp_path: Path) -> None:
    header = bytearray(tar_of(parts())[:512])
    header[124:136] = b"77777777777\0"
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)

    with pytest.raises(Invalid, match="more than"):
        read(tmp_path, bytes(header))


@pytest.mark.parametrize("name", ["metadata.gz", "checksums.yaml.gz"])
def test_a_bomb_is_not_inflated(tmp_path: Path, name: str) -> None:
    found = {**parts(), name: gzip.compress(bytes(200 * MEBIBYTE), 1)}
    if name == "metadata.gz":
        del found["checksums.yaml.gz"]
        found["checksums.yaml.gz"] = gzip.compress(checksums_yaml(found))

    with pytest.raises(Invalid, match="inflates"):
        read(tmp_path, tar_of(found))


def test_checksums_must_be_there_and_true(tmp_path: Path) -> None:
    whole = parts()
    true = checksums_yaml({name: whole[name] for name in ("metadata.gz", "data.tar.gz")})
    for said in (
        true.replace(b"metadata.gz: ", b"metadata.gz: 0", 1),
        b"--- {}\n",
        b"---\nSHA256:\n  metadata.gz: abc\n",
        b"---\nMD5:\n  metadata.gz: abc\n",
        b"---\n- list\n",
        true + b"  ../x: 00\n",
        b"\n".join(line for line in true.split(b"\n") if b"data.tar.gz" not in line),
    ):
        with pytest.raises(Invalid):
            read(tmp_path, tar_of({**whole, "checksums.yaml.gz": gzip.compress(said)}))


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (b"name: tool", b"name: &a tool"),
        (b"summary: for tests", b"summary: *a"),
        (b"summary: for tests", b"summary: !ruby/object:Gem::Installer {}"),
        (b"summary: for tests", b"summary: !ruby/object:Kernel {}"),
        (b"summary: for tests", b"summary: !ruby/hash:ActiveSupport {}"),
        (b"summary: for tests", b"summary: !ruby/sym x"),
        (b"summary: for tests", b"summary: !!python/object/apply:os.system ['true']"),
        (b"summary: for tests", b"summary: !!binary aGk="),
        (b"summary: for tests", b"<<: {a: b}"),
        (b"summary: for tests", b"summary: [" + b"[" * 40 + b"]" * 40 + b"]"),
        (b"summary: for tests", b"summary: x\nsummary: y"),
        (b"summary: for tests", b"summary: \xff"),
        (b"summary: for tests", b"? [a]\n: b"),
        (b"--- !ruby/object:Gem::Specification", b"---"),
        (b"--- !ruby/object:Gem::Specification", b"--- a\n--- !ruby/object:Gem::Specification"),
        (b"name: tool", b"name: ../tool"),
        (b"name: tool", b"name: 'a b'"),
        (b"name: tool", b"name: tool.gem"),
        (b"name: tool", b"name: '-tool'"),
        (b"name: tool", b"name: '1234'"),
        (b"name: tool", b'name: "tool\\nevil"'),
        (b"name: tool", b"name: [tool]"),
        (b"  version: 1.0", b"  version: 1.0-1"),
        (b"  version: 1.0", b"  version: '1.0 evil|'"),
        (b"  version: 1.0", b"  version: [1]"),
        (b"platform: ruby", b"platform: a/b"),
        (b"platform: ruby", b"platform: 'java|x'"),
        (b"dependencies: []", b"dependencies: {a: b}"),
        (b"dependencies: []", b"dependencies:\n- rack"),
        (b"version: '0'", b"version: '0|checksum:x'"),
        (b'- - ">="', b'- - "<=>"'),
        (b"authors:\n- Ada", b"authors: 7: 8"),
        (b"metadata:\n  changelog_uri: https://example.com/changes", b"metadata:\n  a: [b]"),
    ],
)
def test_yaml_that_means_more_than_a_gem_is_refused(tmp_path: Path, find: bytes, put: bytes) -> None:
    about = gemspec_yaml("tool", "1.0", "ruby", {}, {}, ">= 0", ">= 0", "for tests")
    assert find in about

    with pytest.raises(Invalid):
        read(tmp_path, tar_of(parts(about.replace(find, put, 1))))


def test_a_million_nodes_are_not_built() -> None:
    with pytest.raises(Invalid, match="more than"):
        read_yaml(b"[" + b"a," * 1_000_000 + b"]")


def test_texts_stay_texts() -> None:
    said = read_yaml(b"a: 1.10\nb: 2024-01-01\nc: on\nd: ~\ne: true\nf: 'true'\ng: ''\nh:\ni: 0x10\n")

    assert said == {
        "a": "1.10",
        "b": "2024-01-01",
        "c": "on",
        "d": None,
        "e": True,
        "f": "true",
        "g": "",
        "h": None,
        "i": "0x10",
    }
