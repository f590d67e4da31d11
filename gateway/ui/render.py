"""Templates and their safety: everything is escaped, and a policy forbids whatever we did not write.

The content security policy allows our own style sheet and nothing else: no script, no frame, no other host. Pages are
never kept by caches, since they differ by who looks. The referrer policy is not stricter than it is because browsers
then send `Origin: null` with our own forms.
"""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.ui import figures
from gateway.ui.places import SAFETY
from gateway.web.answers import Answer

_HERE = Path(__file__).parent
_FIXED = {path.name: path.read_bytes() for path in sorted((_HERE / "static").iterdir())}
_MARK = hashlib.sha256(b"".join(_FIXED.values())).hexdigest()[:16]


def _moment(at: float | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    size=figures.size,
    ratio=figures.ratio,
    sparkline=figures.sparkline,
    moment=_moment,
    age=lambda at: figures.age(at, time.time()),
)
_environment.globals["style_mark"] = _MARK


def page(template: str, context: dict[str, Any], status: int = 200) -> Answer:
    """A page from a template of ours."""
    body = _environment.get_template(template).render(context).encode("utf-8", "backslashreplace")
    return Answer(status, (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), *SAFETY), body)


def fixed(name: str, content_type: str) -> Answer:
    """A file that never changes at its address: the address holds a mark of all of them."""
    kept = ("Cache-Control", "public, max-age=31536000, immutable")
    return Answer(200, (("Content-Type", content_type), kept, *SAFETY), _FIXED[name])
