"""Everything that is logged besides requests: one JSON object a line on standard error, through structlog.

`set_up` is called once by each process. The standard library's loggers (aiohttp, asyncio, alembic) end in the same
lines. Secrets are hidden here for all of them, by `gateway.redaction`. Nothing here knows about requests.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import msgspec
import structlog

from gateway.errors import ConfigInvalid
from gateway.redaction import scrub_values

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error) from `level` on; raises ConfigInvalid."""
    check_level(level)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_encode),
            ],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if getattr(known, "is_entrepot", False)]:
        root.removeHandler(old)
    handler.is_entrepot = True  # type: ignore[attr-defined] # so that a second set_up replaces this one only
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)  # gateway.web.observe writes that one
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every start


def check_level(level: str) -> None:
    """Raise ConfigInvalid unless this is a level."""
    if level not in LEVELS:
        raise ConfigInvalid(f"log.level: expected one of {', '.join(LEVELS)}, got {level[:40]!r}")


def _hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor; keys that structlog itself put in (with a leading `_`) pass through unchanged."""
    inner = {key: value for key, value in event.items() if key.startswith("_")}
    return {**scrub_values({key: value for key, value in event.items() if key not in inner}), **inner}


def _encode(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
