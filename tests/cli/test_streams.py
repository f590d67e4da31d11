"""What a command does when nobody takes its answer, as a process of its own: the answer may be a secret, shown once."""

import os
import subprocess
import sys

import pytest

UNBUFFERED = [{}, {"PYTHONUNBUFFERED": "1"}]


@pytest.fixture
def command(entrepot, data, monkeypatch):
    """Words of a command line → one that says something, as a process is begun with it."""
    entrepot("user", "create", "ann")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    return lambda *words: [sys.executable, "-m", "gateway", *words, "--data", str(data)]


def run(words, extra=None, **streams):
    env = os.environ | (extra or {})
    return subprocess.run(words, env=env, check=False, timeout=60, **({"stderr": subprocess.PIPE} | streams))


@pytest.mark.parametrize("extra", UNBUFFERED)
def test_a_reader_who_has_enough_ends_a_command_quietly(command, extra):
    """As `entrepot user list | head -1` does: the pipe is closed before all is written."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(command("user", "list"), extra, stdout=writing)
    finally:
        os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")


def test_what_was_done_stands_though_nobody_reads_its_secret(command, entrepot):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(command("user", "otp", "enable", "ann"), stdout=writing)
    finally:
        os.close(writing)

    assert done.returncode == 1
    assert done.stderr == b"ann needs one-time codes now; the secret is shown only this once:\n"
    assert entrepot("user", "otp", "disable", "ann").code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")  # noqa: PTH110
@pytest.mark.parametrize("extra", UNBUFFERED)
def test_an_answer_that_cannot_be_written_is_one_line(command, extra):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = run(command("user", "list"), extra, stdout=full)

    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.endswith(b"No space left on device\n")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_begun_with_a_closed_stream(command, tmp_path, number):
    """The access log is written to stream 1 by its number, which the catalogue would have then."""
    absent = tmp_path / "absent"
    words = [*command("user", "list")[:-1], str(absent)]

    done = run(["sh", "-c", f'exec "$@" {number}>&-', "sh", *words], stdout=subprocess.PIPE)

    assert done.returncode == 1
    assert done.stdout + done.stderr == (
        b"error: standard output and standard error must be open (>/dev/null where nobody reads them)\n"
        if number == 1
        else b""
    )
    assert not absent.exists()


def test_a_closed_standard_input_is_one_with_nothing_in_it(command):
    done = run(["sh", "-c", 'exec "$@" <&-', "sh", *command("user", "password", "ann")])

    assert (done.returncode, done.stderr) == (2, b"error: no password was given\n")
