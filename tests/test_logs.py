"""The other log: structured, on one line, without secrets."""

import io
import json
import logging

import pytest
import structlog

from gateway import logs
from gateway.errors import ConfigInvalid
from gateway.redaction import scrub, scrub_values


@pytest.fixture
def lines():
    stream = io.StringIO()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logs.set_up("info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_one_json_object(lines):
    structlog.stdlib.get_logger("gateway.pull").info("fetched", package="left\nright", size=3)
    logging.getLogger("aiohttp.server").warning("bad %s", "request")
    structlog.stdlib.get_logger("gateway.pull").debug("not shown")

    first, second = lines()
    assert (first["event"], first["package"], first["size"], first["level"]) == ("fetched", "left\nright", 3, "info")
    assert first["logger"] == "gateway.pull"
    assert (second["event"], second["level"], second["logger"]) == ("bad request", "warning", "aiohttp.server")


def test_secrets_are_hidden_by_name_and_by_shape(lines):
    structlog.stdlib.get_logger("x").info(
        "asked http://ann:hunter2@up.example/",
        authorization="Basic hunter2",
        detail={"password": "hunter2", "urls": ["https://u:hunter2@h/", "ent_hunter2hunter2"]},
        tokens=3,
    )

    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert line["tokens"] == 3


def test_a_traceback_does_not_show_a_token(lines):
    try:
        int("ent_hunter2hunter2")
    except ValueError:
        structlog.stdlib.get_logger("x").exception("failed")

    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert "ValueError" in line["exception"]


def test_a_wrong_level_is_named():
    with pytest.raises(ConfigInvalid, match=r"log\.level: expected one of debug, info"):
        logs.set_up("loud")


def test_ordinary_text_is_left_alone():
    text = "/npm/acme/web/@scope/name/-/name-1.0.0.tgz"

    assert scrub(text) is text
    assert scrub_values({"package": "token-bucket", "count": 3}) == {"package": "token-bucket", "count": 3}
