"""What clients have asked a gateway for, by its access log: the order of their requests is half of a protocol."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.gateway import Gateway

_PATIENCE = 20.0  # seconds for a line that was written to be in the file


@dataclass(slots=True)
class Asked:
    """The requests since the last look. `log`: the file that the gateway's `log.access` names."""

    log: Path
    repository: str
    _seen: int = 0
    _looks: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What a gateway's configuration needs to write it."""
        return {"log": {"access": str(self.log)}}

    def entries(self, gateway: Gateway) -> list[dict[str, Any]]:
        """Lines about the repository since the last look; `path` without it."""
        start = f"/{self.repository}/"
        lines = self._lines(gateway)
        return [{**one, "path": one["path"].removeprefix(start)} for one in lines if one["path"].startswith(start)]

    def requests(self, gateway: Gateway) -> list[tuple[str, str, int]]:
        """Method, path and status of each."""
        return [(one["method"], one["path"], one["status"]) for one in self.entries(gateway)]

    def _lines(self, gateway: Gateway) -> list[dict[str, Any]]:
        """All lines up to that of a request of our own: the log is written in batches."""
        self._looks += 1
        mark = f"/-/look-{self._looks}"
        gateway.get(mark)
        started = time.monotonic()
        while True:
            said = self.log.read_bytes()[self._seen :]
            whole = said[: said.rfind(b"\n") + 1]
            lines = [json.loads(line) for line in whole.splitlines()]
            if any(one["path"] == mark for one in lines):
                self._seen += len(whole)
                return lines
            assert time.monotonic() < started + _PATIENCE, "the log does not have our own request"
            time.sleep(0.05)
