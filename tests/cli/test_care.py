"""Collection, verification, the cache, claim and doctor on the command line."""

import asyncio
import os

import pytest

from gateway.store.blobs import FileBlobs
from gateway.store.database import Database
from gateway.store.packages import Packages
from gateway.store.repositories import Repositories
from gateway.store.rows import NewFileRow


@pytest.fixture
def old_blob(entrepot, data):
    """A hosted blob that nothing refers to, kept in 1970, beside a catalogue."""
    entrepot("claim")
    blobs = FileBlobs(data / "hosted")
    digest = blobs.put(b"never published")
    os.utime(blobs.path(digest), (0, 0))
    return digest


def test_a_dry_run_of_gc_says_what_gc_then_does(entrepot, data, old_blob):
    plan = entrepot("gc", "--dry-run")
    done = entrepot("gc")

    assert plan.out == done.out == f"hosted:{old_blob.hex}\t15\n"
    assert plan.err == "would remove 1 blobs (15 B) and 0 temporary files\n"
    assert done.err == "removed 1 blobs (15 B) and 0 temporary files\n"
    assert FileBlobs(data / "hosted").has(old_blob) is None


def test_gc_lets_go_what_the_ecosystem_calls_abandoned(entrepot, data):
    entrepot("repo", "create", "pypi/acme/tools")
    blobs = FileBlobs(data / "hosted")
    digests = [blobs.put(body) for body in (b"left", b"kept")]
    for digest in digests:
        os.utime(blobs.path(digest), (0, 0))
    asyncio.run(_publish(data, {"left-1.whl": digests[0], "kept-1.whl": digests[1]}))

    plan = entrepot("gc", "--dry-run")
    done = entrepot("gc")

    assert plan.out == done.out == f"pypi/acme/tools/tool\tleft-1.whl\nhosted:{digests[0].hex}\t4\n"
    assert entrepot("gc").out == ""
    assert blobs.has(digests[1]) is not None


async def _publish(data, files):
    database = Database(data / "catalogue.sqlite")
    try:
        (repository,) = Repositories(database).all()
        rows = [NewFileRow(name, "1", digest, 4, {}, {}, "2026-01-01T00:00:00Z") for name, digest in files.items()]
        await Packages(database).commit(repository.id, "tool", rows, actor="ann")
    finally:
        database.close()


def test_only_what_begins_an_installation_makes_a_data_folder(entrepot, tmp_path):
    folder = tmp_path / "misspelt"

    for command in (["gc"], ["verify"], ["user", "list"], ["grant", "list"], ["explain", "pypi", "acme/tools", "x"]):
        result = entrepot(*command, folder=folder)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error: {folder}: there is no catalogue here")

    assert not folder.exists()


def test_gc_takes_nothing_where_the_catalogue_is_lost(entrepot, data, old_blob):
    (data / "catalogue.sqlite").unlink()

    assert entrepot("gc").code == 2
    assert FileBlobs(data / "hosted").has(old_blob) is not None


def test_gc_refuses_a_grace_that_would_take_running_pushes(entrepot, old_blob):
    assert entrepot("gc", "--grace", "0").code == 2


def test_verify_reports_what_is_corrupt_and_fails(entrepot, data, old_blob):
    assert entrepot("verify").code == 0
    FileBlobs(data / "hosted").path(old_blob).write_bytes(b"bit rot")

    result = entrepot("verify")

    assert result.code == 1
    assert f"corrupt hosted:{old_blob.hex}\n" in result.out
    assert f"unlinked hosted:{old_blob.hex}\n" in result.out
    assert "1 corrupt, 0 missing" in result.err


def test_verify_tells_its_progress_in_plain_lines(entrepot, data):
    entrepot("claim")
    FileBlobs(data / "hosted").put(b"x" * 2000)

    assert "verify 100% (2.0 KiB of 2.0 KiB)\n" in entrepot("verify").err


def test_the_cache_is_counted_and_purged(entrepot, data):
    entrepot("repo", "create", "pypi/acme/tools")

    assert entrepot("cache", "stats").err == "0 B of 100.0 GiB\n"
    assert entrepot("cache", "purge").code == 2
    assert entrepot("cache", "purge", "--package", "left").code == 2
    assert entrepot("cache", "purge", "--all").err == "forgot 0 documents and 0 files\n"
    assert entrepot("cache", "purge", "--repository", "pypi/acme/tools", "--package", "Left").code == 0
    assert entrepot("cache", "purge", "--repository", "pypi/acme/none").code == 1
    assert entrepot("cache", "evict").code == 0


def test_the_claim_link_is_printed_until_somebody_administers(entrepot, data):
    first = entrepot("claim")
    again = entrepot("claim")

    assert first.out.startswith("http://127.0.0.1:8080/-/ui/claim/")
    assert first.out == again.out
    assert (data / "claim").stat().st_mode & 0o777 == 0o600
    entrepot("user", "create", "ann", "--admin")
    assert (entrepot("claim").code, entrepot("claim").out) == (1, "")


def test_doctor_finds_nothing_wrong_with_a_fresh_folder(entrepot, data, tmp_path):
    config = tmp_path / "entrepot.yaml"
    config.write_text("server: {port: 1}\nrepositories: {pypi: {a/b: {}}}\n")

    result = entrepot("doctor", "--config", config)

    assert result.code == 0
    assert "ok      catalogue: will be made at the first start\n" in result.out
    assert "warning server: nobody answers at http://127.0.0.1:1/ (not started?)\n" in result.out


def test_doctor_names_an_upstream_that_cannot_be_reached(entrepot, tmp_path):
    config = tmp_path / "entrepot.yaml"
    config.write_text(
        "server: {port: 1}\nupstreams: {mine: {type: pypi, url: 'http://127.0.0.1:1/', retries: 0}}\n"
        "repositories: {pypi: {a/b: {layers: [mine]}}}\n"
    )

    result = entrepot("doctor", "--config", config)

    assert result.code == 1
    assert "error   upstream mine: " in result.out


def test_doctor_names_a_catalogue_that_is_none(entrepot, data):
    data.mkdir()
    (data / "catalogue.sqlite").write_bytes(b"this is no catalogue, but long enough to look like a file" * 100)

    result = entrepot("doctor")

    assert result.code == 1
    assert "error   catalogue: " in result.out


def test_a_data_folder_that_cannot_be_made_is_one_line(entrepot, tmp_path):
    (tmp_path / "file").write_bytes(b"")

    result = entrepot("user", "create", "ann", folder=tmp_path / "file" / "data")

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


def test_a_new_data_folder_is_its_owners_only(entrepot, data):
    entrepot("user", "create", "ann")

    assert data.stat().st_mode & 0o777 == 0o700
