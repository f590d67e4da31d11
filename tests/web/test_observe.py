"""What is written about requests, and what must never be."""

import asyncio
import json

import pytest

from gateway.errors import StoreTrouble
from gateway.web.access_log import LogWriter
from gateway.web.metrics import Metrics
from gateway.web.observe import Observer, RequestIds
from gateway.web.record import Record, encode_lines

REQUEST = Record(
    at=1_700_000_000.125,
    request_id="0123456789-000001",
    method="GET",
    path="/pypi/acme/tools/simple/left/",
    status=200,
    actor="ann",
    type="pypi",
    repository="pypi/acme/tools",
    package="left",
    layer="pypi",
    freshness="fresh",
    bytes_sent=1234,
    milliseconds=1.239,
    address="192.0.2.7",
    user_agent="pip/26.3",
)


class FakeTraffic:
    """Remembers what it was given; in trouble as often as it is told."""

    def __init__(self, troubles=0):
        self.troubles, self.rows = troubles, []

    async def add(self, rows):
        if self.troubles:
            self.troubles -= 1
            raise StoreTrouble("the disk is full")
        self.rows.extend(rows)


def make(tmp_path, traffic=None, upstreams=tuple):
    log = tmp_path / "access.log"
    observer = Observer(LogWriter(str(log)), Metrics(tmp_path / "metrics"), traffic or FakeTraffic(), upstreams)
    return observer, log


def test_a_line_is_json_with_the_documented_keys():
    line = json.loads(encode_lines([REQUEST]))

    assert line == {
        "timestamp": "2023-11-14T22:13:20.125Z",
        "level": "info",
        "event": "request",
        "request_id": "0123456789-000001",
        "method": "GET",
        "path": "/pypi/acme/tools/simple/left/",
        "status": 200,
        "actor": "ann",
        "type": "pypi",
        "repository": "pypi/acme/tools",
        "package": "left",
        "layer": "pypi",
        "freshness": "fresh",
        "bytes": 1234,
        "ms": 1.24,
        "address": "192.0.2.7",
        "user_agent": "pip/26.3",
    }


SECRET = "ent_" + "Ab3dE" * 7
TOKEN_PLACES = [
    {"path": f"/npm/acme/web/-/user/token/{SECRET}"},
    {"path": "/npm/acme/web/-/user/token/some-other-registrys-token-Ab3dE"},
    {"path": f"/pypi/acme/tools/simple/{SECRET}/"},
    {"path": f"/pypi/acme/tools/simple/{SECRET.replace('_', '%5F')}/"},
    {"path": "http://ann:Ab3dE@gateway.example/pypi/acme/tools/"},
    {"path": "/-/ui/claim/Ab3dEAb3dE"},
    {"path": "/-/ui/login/Ab3dEAb3dE?x=1"},
    {"path": "/pypi/a/b/?access_token=Ab3dEAb3dE&x=1"},
    {"path": "/pypi/a/b/?Password=Ab3dEAb3dE"},
    {"user_agent": f"curl/8 token={SECRET}"},
]


@pytest.mark.parametrize("place", TOKEN_PLACES)
def test_a_secret_in_a_path_or_agent_is_not_written(place):
    line = encode_lines([REQUEST._replace(**place)]).decode()

    assert "Ab3dE" not in line
    assert "***" in line


def test_a_request_cannot_forge_a_second_line():
    lines = encode_lines([REQUEST._replace(path='/x\n{"event":"request"}', user_agent='a"\r\nb\x1b[2J')])

    assert lines.count(b"\n") == 1
    assert b"\x1b" not in lines
    assert json.loads(lines)["user_agent"] == 'a"\r\nb\x1b[2J'


def test_raw_bytes_in_a_path_are_written_visibly():
    assert json.loads(encode_lines([REQUEST._replace(path="/\udcff/é")]))["path"] == "/\\udcff/é"


def test_a_huge_path_is_cut():
    assert len(encode_lines([REQUEST._replace(path="/" * 100_000, user_agent="x" * 100_000)])) < 2000


def test_a_sane_request_id_is_kept_and_every_other_replaced():
    ids = RequestIds()

    assert ids.take("build-4711.step_2") == "build-4711.step_2"
    for wrong in [None, "", "short", "x" * 65, "has space in it", "new\nline-new-line", SECRET]:
        assert ids.take(wrong) not in {wrong, ""}
    assert ids.take(None) != ids.take(None)
    assert RequestIds().take(None) != RequestIds().take(None)


async def until_written(log):
    """Wait for the background writer; the timeout is for a broken one only."""
    async with asyncio.timeout(30):
        while not log.exists() or not log.read_bytes():  # noqa: ASYNC110 a file has no event
            await asyncio.sleep(0)


async def test_leaving_writes_everything_that_was_noted(tmp_path):
    traffic = FakeTraffic()
    observer, log = make(tmp_path, traffic)

    async with observer:
        for _ in range(1200):
            observer.note(REQUEST)

    assert len(log.read_bytes().splitlines()) == 1200
    assert [(row.repository, row.requests) for row in traffic.rows] == [("pypi/acme/tools", 1200)]


async def test_a_record_is_written_without_waiting_for_more(tmp_path):
    observer, log = make(tmp_path)

    async with observer:
        observer.note(REQUEST)
        await until_written(log)


async def test_a_rotated_file_is_opened_anew(tmp_path):
    observer, log = make(tmp_path)

    async with observer:
        observer.note(REQUEST)
        await until_written(log)
        log.rename(tmp_path / "access.log.1")
        observer.note(REQUEST)

    assert len(log.read_bytes().splitlines()) == 1


async def test_a_log_that_cannot_be_written_is_counted_and_harms_nobody(tmp_path):
    observer = Observer(LogWriter(str(tmp_path)), Metrics(tmp_path / "metrics"), FakeTraffic())

    async with observer:
        observer.note(REQUEST)

    assert b"entrepot_log_lines_dropped_total 1.0" in await observer.render_metrics()


async def test_a_writer_that_is_stuck_does_not_fill_the_memory(tmp_path):
    writer = LogWriter(str(tmp_path / "log"))  # never entered: nobody empties it

    for _ in range(100):
        writer.put(b"x" * 1_000_000 + b"\n")

    assert writer.dropped == 92


async def test_off_writes_nothing(tmp_path):
    observer = Observer(LogWriter("off"), Metrics(tmp_path / "metrics"), FakeTraffic())

    async with observer:
        observer.note(REQUEST)

    assert b'entrepot_requests_total{method="GET",status="2xx",type="pypi"} 1.0' in await observer.render_metrics()


async def test_traffic_is_summed_per_minute_and_repository(tmp_path):
    traffic = FakeTraffic()
    observer, _log = make(tmp_path, traffic)

    observer.note(REQUEST)
    observer.note(REQUEST._replace(freshness="miss", milliseconds=70, bytes_sent=10))
    observer.note(REQUEST._replace(status=503, layer="", milliseconds=99999))
    observer.note(REQUEST._replace(layer="hosted"))
    observer.note(REQUEST._replace(at=REQUEST.at + 60, type="", repository=""))
    observer.note_fetched("pypi", "pypi/acme/tools", 500, now=REQUEST.at)
    observer.flush()
    await observer.save_traffic()
    await observer.save_traffic()

    rows = {(row.minute, row.type, row.repository): row for row in traffic.rows}
    assert len(traffic.rows) == 2
    assert rows[28333334, "gateway", ""].requests == 1
    tools = rows[28333333, "pypi", "pypi/acme/tools"]
    assert (tools.requests, tools.errors, tools.hits, tools.misses) == (4, 1, 1, 1)
    assert (tools.bytes_sent, tools.bytes_fetched) == (1234 + 10 + 1234 + 1234, 500)
    assert tools.buckets == {"2.5": 2, "100": 1, "inf": 1}


async def test_traffic_that_could_not_be_saved_is_saved_later(tmp_path):
    traffic = FakeTraffic(troubles=1)
    observer, _log = make(tmp_path, traffic)

    observer.note(REQUEST)
    observer.flush()
    await observer.save_traffic()
    observer.note(REQUEST)
    observer.flush()
    await observer.save_traffic()

    assert [(row.requests, row.buckets) for row in traffic.rows] == [(2, {"2.5": 2})]
