"""Metrics over several worker processes."""

import os
from types import SimpleNamespace

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.web import metrics
from gateway.web.access_log import LogWriter, _pieces
from gateway.web.metrics import Metrics, Snapshot, clear
from gateway.web.observe import Observer


def samples(page):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def rendered(mine):
    mine.save()
    return samples(mine.render())


def other_worker(folder, pid, requests, in_flight):
    snapshot = Snapshot(
        pid,
        [("entrepot_requests", ["pypi", "GET", "2xx"], requests)],
        [
            ("entrepot_requests_in_flight", [], in_flight),
            ("entrepot_upstream_breaker", ["pypi", "h"], 2),
            ("entrepot_upstream_allowance_left", ["hub", "h"], 3),
        ],
        {"pypi": ([1] * (len(metrics.BOUNDS) + 1), 3.5)},
    )
    (folder / f"1-{pid}.json").write_bytes(msgspec.json.encode(snapshot))


def test_workers_are_added_up_and_the_dead_keep_their_counts(tmp_path):
    mine = Metrics(tmp_path)
    mine.count("entrepot_requests", ("pypi", "GET", "2xx"), 5)
    mine.gauge("entrepot_requests_in_flight", (), 2)
    mine.gauge("entrepot_upstream_allowance_left", ("hub", "h"), 5)
    other_worker(tmp_path, os.getppid(), 10, 3)
    other_worker(tmp_path, 2**22 + 12345, 100, 50)  # above the highest process id there can be

    page = rendered(mine)

    assert page["entrepot_requests_total", "2xx", "GET", "pypi"] == 115
    assert page["entrepot_requests_in_flight",] == 5
    assert page["entrepot_workers",] == 2
    assert page["entrepot_upstream_breaker", "h", "pypi"] == 2
    assert page["entrepot_upstream_allowance_left", "h", "hub"] == 3


def test_the_histogram_is_cumulative_and_in_seconds(tmp_path):
    mine = Metrics(tmp_path)
    mine.time("npm", [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 31.5)
    mine.time("npm", [0] * 13 + [1], 99999)

    page = rendered(mine)

    assert page["entrepot_request_seconds_bucket", "0.001", "npm"] == 2
    assert page["entrepot_request_seconds_bucket", "0.05", "npm"] == 3
    assert page["entrepot_request_seconds_bucket", "10.0", "npm"] == 3
    assert page["entrepot_request_seconds_bucket", "+Inf", "npm"] == 4
    assert page["entrepot_request_seconds_count", "npm"] == 4
    assert page["entrepot_request_seconds_sum", "npm"] == pytest.approx(100.0305)


def test_a_torn_or_foreign_file_does_not_spoil_the_page(tmp_path):
    (tmp_path / "0-1.json").write_bytes(b'{"pid": 1, "coun')

    mine = Metrics(tmp_path)
    mine.save()

    assert b"entrepot_workers 1.0" in mine.render()


def test_a_new_server_forgets_the_old_ones_counts(tmp_path):
    other_worker(tmp_path, os.getppid(), 10, 3)

    clear(tmp_path)

    assert ("entrepot_requests_total", "2xx", "GET", "pypi") not in samples(Metrics(tmp_path).render())


def test_a_label_from_outside_cannot_forge_a_line(tmp_path):
    mine = Metrics(tmp_path)
    mine.count("entrepot_bytes_sent", ('x"} 1\nfake_metric 1',))

    mine.save()

    assert b"\nfake_metric" not in mine.render()


async def test_the_health_of_upstreams_is_in_the_metrics(tmp_path):
    told = SimpleNamespace(limit=100, left=7)
    health = SimpleNamespace(
        name="pypi", host="h:1", state="open", requests=7, bytes=99, errors=3, corrupt=1, allowance=told
    )
    observer = Observer(LogWriter("off"), Metrics(tmp_path), None, lambda: [health])
    observer.in_flight = 4

    await observer.render_metrics()
    page = samples(await observer.render_metrics())

    assert page["entrepot_upstream_requests_total", "h:1", "pypi"] == 7
    assert page["entrepot_upstream_bytes_total", "h:1", "pypi"] == 99
    assert page["entrepot_upstream_errors_total", "h:1", "pypi"] == 3
    assert page["entrepot_upstream_breaker", "h:1", "pypi"] == 2
    assert page["entrepot_upstream_corrupt_total", "h:1", "pypi"] == 1
    assert page["entrepot_upstream_allowance", "h:1", "pypi"] == 100
    assert page["entrepot_upstream_allowance_left", "h:1", "pypi"] == 7
    assert page["entrepot_requests_in_flight",] == 4
    health.allowance = None
    assert ("entrepot_upstream_allowance_left", "h:1", "pypi") not in samples(await observer.render_metrics())


def test_pieces_for_a_pipe_end_with_whole_lines():
    lines = [b"a" * 10 + b"\n", b"b" * 30 + b"\n", b"c" * 3 + b"\n", b"d" * 3 + b"\n"]

    pieces = _pieces(b"".join(lines), 16)

    assert pieces == [lines[0], lines[1], lines[2] + lines[3]]
