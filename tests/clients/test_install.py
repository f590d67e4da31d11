"""Installing clients leaves the machine as quiet as it was."""

import subprocess
from pathlib import Path

import pytest

from tests.clients import install


def test_no_service_may_start_while_packages_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", policy)

    with install.no_service_starts():
        asked = subprocess.run([str(policy), "docker", "start"], check=False)

    assert asked.returncode == 101
    assert not policy.exists()


def test_a_machine_with_a_policy_of_its_own_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("mine")
    monkeypatch.setattr(install, "POLICY", policy)

    with install.no_service_starts():
        assert policy.read_text() == "mine"

    assert policy.read_text() == "mine"
