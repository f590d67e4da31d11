"""The `settings` of a repository: which keys an ecosystem knows, and what their values may be. Pure.

A misspelt key or a text where a list belongs would leave a rule out without a word, so both are refused.
"""

from collections.abc import Mapping
from typing import Any

from gateway.errors import ConfigInvalid, Invalid
from gateway.format import Adjustable, Format, GraphFormat, Setting
from gateway.retention import read_rules

EVERYWHERE = {"realm": Setting(str)}
OF_GRAPHS = {"allow_shadow": Setting(bool), "keep_deleted": Setting(bool), "tag_seconds": Setting(dict)}
_RETENTION = "retention"


def check_settings(settings: Mapping[str, Any], format_: Format) -> None:
    """Raise Invalid for a key that nothing reads or a value that it cannot be; the message begins with the key."""
    is_graph = isinstance(format_, GraphFormat)
    own = format_.settings if isinstance(format_, Adjustable) else {}
    known = {**EVERYWHERE, **(OF_GRAPHS if is_graph else {}), **own}
    for key, value in settings.items():
        if key == _RETENTION and is_graph:
            _check_retention(settings)
        elif key not in known:
            names = ", ".join(sorted({*known, *([_RETENTION] if is_graph else [])}))
            raise Invalid(f"settings.{key[:80]}: unknown key (known: {names})")
        elif not known[key].takes(value):
            raise Invalid(f"settings.{key}: expected {known[key].expects()}")


def _check_retention(settings: Mapping[str, Any]) -> None:
    try:
        read_rules(settings)
    except ConfigInvalid as error:
        raise Invalid(error.message) from error
