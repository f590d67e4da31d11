"""Marshal, written for clients and read from strangers."""

import gzip
import shutil
import subprocess
import zlib

import pytest

from adapters.rubygems.marshal import Writer, dump_index, dump_spec
from adapters.rubygems.marshal_reader import Reader, load_spec
from adapters.rubygems.spec import Clause, Dependency, Spec
from gateway.errors import Invalid, UpstreamCorrupt
from tests.clients.install import is_required

SPEC = Spec(
    "tool",
    "1.0.pre",
    "x86_64-linux-musl",
    "3.3.15",
    (2024, 2, 29),
    "größer",
    "",
    "https://example.com/",
    ("a@example.com", "b@example.com"),
    ("Ada",),
    ("MIT",),
    {"source_code_uri": "https://example.com/"},
    (Clause(">=", "2.7"), Clause("<", "4")),
    (Clause(">=", "0"),),
    (Dependency("rack", (Clause("~>", "2.0"),)), Dependency("rake", (Clause(">=", "0"),), is_runtime=False)),
)


def test_what_is_written_is_read_back() -> None:
    assert load_spec(dump_spec(SPEC)) == SPEC


@pytest.mark.parametrize(
    "number", [0, 1, 122, 123, 255, 256, 65_535, 65_536, 2**30 - 1, -1, -123, -124, -256, -257, -(2**30)]
)
def test_whole_numbers_of_every_length_are_read_back(number: int) -> None:
    out = Writer()
    out.integer(number)

    assert Reader(out.dumped()).read() == number


def test_a_long_list_shares_its_symbols() -> None:
    rows = [(f"gem{i}", "1.0", "ruby") for i in range(1000)]
    body = gzip.decompress(dump_index(rows))

    assert body.count(b"Gem::Version") == 1
    assert [(name, version["version"], platform) for name, version, platform in Reader(body).read()] == rows


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x04\x07i\x00",
        b"\x04\x08",
        b"\x04\x08i",
        b"\x04\x08[\x06",
        b"\x04\x08[\x04\xff\xff\xff\x7f",
        b'\x04\x08"\x04\xff\xff\xff\x7fabc',
        b"\x04\x08[\xfa",
        b"\x04\x08@\x06",
        b"\x04\x08[\x06@\x00",
        b"\x04\x08;\x06",
        b"\x04\x08o:\x0bObject\x00",
        b"\x04\x08o:\x14Gem::Requirement;\x06",
        b"\x04\x08u:\x14Gem::SpecFetcher\x06x",
        b"\x04\x08U:\x10Gem::Source[\x06i\x00",
        b"\x04\x08e:\x0fComparable0",
        b"\x04\x08c\x0bKernel",
        b"\x04\x08m\x0bKernel",
        b"\x04\x08f\x081.5",
        b"\x04\x08l+\x07\x00\x00\x00\x00",
        b"\x04\x08/\x06a\x00",
        b'\x04\x08C:\x0bString"\x06a',
        b"\x04\x08}\x06i\x06i\x06i\x00",
        b"\x04\x08I[\x00\x00",
        b"\x04\x080trailing",
        b"\x04\x08" + b"[\x06" * 100 + b"0",
        b"\x04\x08{\x06[\x000",
    ],
)
def test_what_no_index_holds_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        Reader(body).read()


def test_many_parts_are_not_built() -> None:
    out = Writer()
    out.array(200_000)

    with pytest.raises(Invalid):
        Reader(out.dumped() + b"0" * 200_000).read()


def test_a_bomb_is_not_inflated() -> None:
    with pytest.raises(UpstreamCorrupt):
        load_spec(zlib.compress(b"\x04\x08" + bytes(100_000_000)))


@pytest.mark.client
def test_ruby_itself_reads_what_we_write_and_we_read_what_it_writes(tmp_path) -> None:
    ruby = shutil.which("ruby")
    if ruby is None:
        (pytest.fail if is_required() else pytest.skip)("no Ruby here")
    (tmp_path / "spec").write_bytes(dump_spec(SPEC))
    (tmp_path / "list").write_bytes(dump_index([("a", "1.0", "java")]))
    script = """
        require "rubygems"; require "zlib"; require "rubygems/specification"
        spec = Marshal.load(Zlib.inflate(File.binread("spec")))
        list = Marshal.load(Zlib.gunzip(File.binread("list")))
        raise list.inspect unless list == [["a", Gem::Version.new("1.0"), "java"]]
        print [spec.full_name, spec.platform.class, spec.date.to_s, spec.summary, spec.email, spec.metadata.to_a,
               spec.required_ruby_version.to_s, spec.dependencies.map { |d| [d.name, d.type, d.requirement.to_s] }].inspect
        File.binwrite("back", Zlib.deflate(Marshal.dump(spec)))
    """
    done = subprocess.run([ruby, "-e", script], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        '["tool-1.0.pre-x86_64-linux-musl", Gem::Platform, "2024-02-29 00:00:00 UTC", "größer", '
        '["a@example.com", "b@example.com"], [["source_code_uri", "https://example.com/"]], ">= 2.7, < 4", '
        '[["rack", :runtime, "~> 2.0"], ["rake", :development, ">= 0"]]]'
    )
    assert load_spec((tmp_path / "back").read_bytes()).dependencies == SPEC.dependencies


def test_writing_a_list_lets_others_work_and_changes_nothing_by_it() -> None:
    pauses: list[None] = []
    rows = [(f"gem{i}", f"1.{i % 70_000}", "ruby") for i in range(120_000)]

    body = dump_index(iter(rows), lambda: pauses.append(None))

    assert len(pauses) == 119
    assert body == dump_index(rows)
    plain = gzip.decompress(body)
    assert plain.endswith(b"1.49999" + b"\x06;\x00T" + b'I"\x09ruby\x06;\x00T')
    assert plain.count(b"U;\x06[\x06") == len(rows) - 1
