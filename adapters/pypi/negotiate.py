"""Which form of a page a client gets, from `Accept` and `?format=` (Simple repository API, "Format selection").

Only types that a client names count; a wildcard never earns JSON, since the tools that send `*/*` read HTML.
"""

from functools import lru_cache

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT_HTML = "text/html"
INTEGRITY = "application/vnd.pypi.integrity.v1+json"

_OFFERS = {
    JSON: JSON,
    "application/vnd.pypi.simple.latest+json": JSON,
    HTML: HTML,
    "application/vnd.pypi.simple.latest+html": HTML,
    TEXT_HTML: TEXT_HTML,
}
_RANK = {JSON: 3, HTML: 2, TEXT_HTML: 1}


def choose(accept: str, wanted: str = "") -> str:
    """The media type of a simple page. `wanted` is the `format` query parameter; it wins where it is known."""
    if wanted:
        offer = _OFFERS.get(wanted.replace(" ", "+").strip().lower())  # an unescaped `+` arrives as a space
        if offer is not None:
            return offer
    return _choose(accept)


@lru_cache(maxsize=256)
def _choose(accept: str) -> str:
    named = [(q, _RANK[offer], offer) for kind, q in parse(accept) if (offer := _OFFERS.get(kind)) and q > 0]
    return max(named, default=(0.0, 0, TEXT_HTML))[2]


@lru_cache(maxsize=256)
def prefers_json(accept: str) -> bool:
    """Whether an error should be JSON: some JSON type is named, and liked at least as well as any text."""
    kinds = parse(accept)
    json = max((q for kind, q in kinds if kind.endswith(("/json", "+json"))), default=0.0)
    text = max((q for kind, q in kinds if kind.startswith("text/") and kind != "text/*"), default=0.0)
    return json > 0 and json >= text


@lru_cache(maxsize=256)
def integrity_type(accept: str) -> str | None:
    """The type to send a provenance object as, or None if the client takes neither (406)."""
    kinds = parse(accept) or [("*/*", 1.0)]
    best = (0.0, 0)
    for kind, q in kinds:
        if q > 0 and kind in {INTEGRITY, "*/*", "application/*"}:
            best = max(best, (q, 2))
        elif q > 0 and kind == "application/json":
            best = max(best, (q, 1))
    return {0: None, 1: "application/json", 2: INTEGRITY}[best[1]]


def parse(accept: str) -> list[tuple[str, float]]:
    """The media ranges in order with their weights; a weight that is no number makes its range worth nothing."""
    found = []
    for item in accept[:4096].split(","):
        kind, *parameters = item.split(";")
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                weight = _weight(value.strip())
        if kind.strip():
            found.append((kind.strip().lower(), weight))
    return found


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0
