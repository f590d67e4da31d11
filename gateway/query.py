"""What stands in a query. Pure."""

from collections.abc import Mapping

from gateway.errors import Invalid


def whole_number(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of at most seven digits, `default` where nothing is given; raises Invalid."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise Invalid(f"{name} must be a whole number")
    return int(text)
