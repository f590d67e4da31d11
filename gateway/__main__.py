"""`entrepot …`, and the same as `python -m gateway …`."""

import gc
import os
import sys


def main() -> None:
    """Run the command line; exits the process."""
    _require_streams()
    gc.disable()  # what is imported stays: collecting while it grows is a fifth of a start's time
    _import_http()
    _import_logging()
    if sys.argv[1:2] == ["serve"]:  # the other commands would only cost it time
        from gateway.cli.server import app  # noqa: PLC0415
    else:
        from gateway.cli.main import app  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    app(prog_name="entrepot")


def _require_streams() -> None:
    """Refuse to begin with a closed stream: the next file opened, the catalogue perhaps, would take its number."""
    if sys.stdout is None or sys.stderr is None:
        sys.exit("error: standard output and standard error must be open (>/dev/null where nobody reads them)")
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 open to the end


def _import_http() -> None:
    """Import aiohttp with no authority in its own contexts: `gateway.upstream.authorities` has those that we use."""
    places = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(places, os.devnull))
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        for name, place in places.items():
            if place is None:
                del os.environ[name]
            else:
                os.environ[name] = place


def _import_logging() -> None:
    """Import structlog as where there is no Rich: it would load all of it to colour tracebacks that we log as JSON."""
    sys.modules["rich"] = None  # type: ignore[assignment] # the documented way to say that it cannot be imported
    try:
        import structlog  # noqa: F401, PLC0415
    finally:
        del sys.modules["rich"]


if __name__ == "__main__":
    main()
