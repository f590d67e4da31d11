"""Files that only grow: their digests, their compressed form, what is left of a writer that died."""

import gzip
import hashlib

import pytest

from gateway.store.ledgers import Edition, Ledger, Ledgers


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledgers(tmp_path).get("one")


def unpacked(edition: Edition) -> bytes:
    return gzip.decompress(edition.deflated.read_bytes()[: edition.packed] + edition.end)


def is_true(edition: Edition) -> bool:
    body = edition.read()
    return (
        len(body) == edition.size
        and edition.md5 == hashlib.md5(body).digest()
        and edition.sha256 == hashlib.sha256(body).digest()
        and unpacked(edition) == body
    )


def test_there_is_nothing_before_it_is_begun(ledger):
    assert ledger.current() is None
    assert ledger.known() is None


def test_every_append_keeps_what_was_there(ledger):
    with ledger.writing():
        before = ledger.begin(b"head\n", {"n": 0})
    for number in range(30):
        line = b"%d %s\n" % (number, b"x" * number * 100)
        with ledger.writing():
            after = ledger.append(line, {"n": number})

        assert after.read() == before.read() + line
        assert after.marks == {"n": number}
        assert is_true(after)
        assert ledger.known() is after
        before = after


def test_a_large_body_is_compressed_as_one_member_with_its_appends(ledger):
    with ledger.writing():
        ledger.begin(b"".join(b"name%d 1.0 abcdef\n" % n for n in range(20_000)), {})
        edition = ledger.append(b"more\n", {})

    assert is_true(edition)
    assert edition.packed < edition.size // 2


def test_another_process_sees_the_same_and_goes_on(tmp_path):
    one, other = Ledgers(tmp_path).get("one"), Ledgers(tmp_path).get("one")
    with one.writing():
        one.begin(b"a\n", {})
    assert other.current().read() == b"a\n"
    with one.writing():
        one.append(b"b\n", {})

    assert other.known() is None
    with other.writing():
        assert other.current().read() == b"a\nb\n"
        other.append(b"c\n", {})

    assert one.current().read() == b"a\nb\nc\n"
    assert is_true(one.current())


def test_what_a_dead_writer_left_behind_the_end_does_not_count(tmp_path, ledger):
    with ledger.writing():
        edition = ledger.begin(b"a\n", {})
    for path in (edition.text, edition.deflated):
        with path.open("ab") as file:
            file.write(b"half a li")
    fresh = Ledgers(tmp_path).get("one")

    assert fresh.current().read() == b"a\n"
    with fresh.writing():
        fresh.append(b"b\n", {})
    assert fresh.current().read() == b"a\nb\n"
    assert is_true(fresh.current())


def test_a_damaged_file_is_refused(tmp_path, ledger):
    with ledger.writing():
        edition = ledger.begin(b"abc\n", {})
    for damage in (b"abd\n", b"ab", b""):
        edition.text.write_bytes(damage)
        assert Ledgers(tmp_path).get("one").current() is None


def test_an_old_edition_is_read_while_a_new_ledger_is_begun(ledger):
    with ledger.writing():
        old = ledger.begin(b"old\n", {})
        new = ledger.begin(b"new\n", {})

    assert old.read() == b"old\n"
    assert new.read() == b"new\n"
    with ledger.writing():
        ledger.begin(b"newer\n", {})
    assert not old.text.exists()
