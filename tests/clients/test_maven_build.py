"""Maven builds a Spring Boot application from Maven Central through the gateway, and builds it again without the upstream."""

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients import jvm
from tests.clients.gateway import READ, Gateway
from tests.clients.tools import World, tool

pytestmark = [pytest.mark.client, pytest.mark.public]

REPOSITORY = "maven/acme/jvm"
APPLICATION = Path(__file__).parent / "data" / "maven-app"
LIBRARIES = 60  # jars in the application, at least
FILES = 500  # files that its build needs, at least


def test_an_application_builds_from_an_empty_local_repository_and_again_without_the_upstream(
    central: Gateway, new_world: Callable[[], World]
) -> None:
    tool("mvn39")
    online, offline = new_world(), new_world()
    token = central.token("acme", READ)
    for world in (online, offline):
        jvm.configure_maven(world, central.base(REPOSITORY), token)
        shutil.copytree(APPLICATION, world.work / "app")
    jvm.mvn("mvn39", online, "package", cwd=online.work / "app").succeeded()

    with central.cut_off():
        status, _ = central.get(f"/{REPOSITORY}/org/acme/never-asked/1.0/never-asked-1.0.pom", token=token)
        assert status == 503
        jvm.mvn("mvn39", offline, "package", cwd=offline.work / "app").succeeded()

    assert _files(offline) == _files(online)
    assert len(_files(online)) >= FILES
    with zipfile.ZipFile(offline.work / "app" / "target" / "orders-1.0.jar") as application:
        libraries = [name for name in application.namelist() if name.startswith("BOOT-INF/lib/") and name[-1] != "/"]
    assert len(libraries) >= LIBRARIES


def _files(world: World) -> dict[str, str]:
    """Every POM and jar of the local repository, with its digest."""
    folder = world.home / ".m2" / "repository"
    files = [path for path in folder.rglob("*") if path.suffix in {".jar", ".pom"}]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
