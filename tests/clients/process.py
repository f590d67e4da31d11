"""A server that runs while a test does: one subprocess in a process group of its own, ended by its process id."""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

_PAUSE = 0.01  # seconds between two looks whether it answers


class Server(ABC):
    """One server: started with `with`, or by `start` and `stop`."""

    name: str
    folder: Path

    def __init__(self, name: str, folder: Path) -> None:
        """`name`: what it is called in errors. `folder`: where its log goes."""
        self.name = name
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the parent process."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers."""

    def stop(self, timeout: float = 30) -> None:
        """End it with SIGTERM; whatever of its process group is left after `timeout` seconds is killed."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it answers; OSError where nobody listens."""

    @property
    def _log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _launch(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float) -> float:
        """Run it and wait until it answers; the seconds that took. Raises RuntimeError where it does not in time."""
        self._log = self._log_file.open("ab")
        started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait(self._process, started + patience)
        except BaseException:
            self.stop()
            raise
        return time.perf_counter() - started

    def _wait(self, process: "subprocess.Popen[bytes]", deadline: float) -> None:
        while not self._is_up():
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {process.returncode}:\n{self.log[-4000:]}")
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{self.name} did not answer in time:\n{self.log[-4000:]}")
            time.sleep(_PAUSE)

    def _is_up(self) -> bool:
        try:
            return self._answers()
        except OSError:
            return False
