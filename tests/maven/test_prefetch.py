"""Filling the cache from a pom.xml: everything that its build would ask for, and nothing that is ours."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.maven import ADAPTER
from adapters.maven.project import Dependency, interpolate, parse_project
from gateway.cli.main import app
from gateway.errors import Invalid
from gateway.model import RepositoryKey
from gateway.prefetch import Fetched, prefetch
from tests.fakes.maven import library, pom
from tests.fakes.upstream import FaultyUpstream
from tests.maven.asking import Client, hex_of
from tests.maven.conftest import Open

KEY = RepositoryKey("maven", "acme", "jvm")
MANAGED = "<dependencyManagement><dependencies>{}</dependencies></dependencyManagement>"


def dependency(name: str, *, more: str = "") -> str:
    group, artifact, *version = name.split(":")
    told = f"<version>{version[0]}</version>" if version else ""
    return f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>{told}{more}</dependency>"


async def fetch(client: Client, body: bytes) -> list[Fetched]:
    return [one async for one in prefetch(client.gateway.services, ADAPTER.prefetch, KEY, "pom.xml", body)]


def serve_pom(fake: FaultyUpstream, name: str, version: str, body: bytes) -> None:
    group, artifact = name.split(":")
    path = f"/maven2/{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.pom"
    fake.serve(path, body, "application/xml")
    fake.serve(f"{path}.sha1", hex_of(body).encode())


def world(fake: FaultyUpstream) -> bytes:
    """An application that takes its versions from a parent, an imported list and a property, and their dependencies."""
    bom = MANAGED.format(dependency("org.lib:core:1.5"))
    serve_pom(fake, "org.lib:bom", "1.0", pom("org.lib:bom", "1.0", packaging="pom", more=bom))
    imported = MANAGED.format(dependency("org.lib:bom:1.0", more="<type>pom</type><scope>import</scope>"))
    serve_pom(fake, "org.lib:parent", "3", pom("org.lib:parent", "3", packaging="pom", more=imported))
    fake.maven("org.lib:core", {"1.5": library(dependencies=("org.deep:util:2.0",))})
    fake.maven("org.lib:web", {"2.2": library(dependencies=("org.lib:core:1.4", "org.lib:core:1.4"))})
    fake.maven("org.deep:util", {"2.0": library()})
    return (
        b"<project><parent><groupId>org.lib</groupId><artifactId>parent</artifactId><version>3</version></parent>"
        b"<artifactId>app</artifactId><properties><web>2.${minor}</web><minor>2</minor></properties><dependencies>"
        + dependency("org.lib:core").encode()
        + dependency("org.lib:web:${web}").encode()
        + b"</dependencies></project>"
    )


async def test_a_build_of_what_was_prefetched_needs_no_upstream(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        jvm = await behind(fake.config("maven"))

        found = await fetch(jvm, world(fake))
        fake.forget()

        assert [one for one in found if one.why] == []
        for path in (
            "org/lib/parent/3/parent-3.pom",
            "org/lib/bom/1.0/bom-1.0.pom",
            "org/lib/core/1.5/core-1.5.jar",
            "org/lib/web/2.2/web-2.2.jar",
            "org/deep/util/2.0/util-2.0.pom",
            "org/deep/util/2.0/util-2.0.jar",
        ):
            assert (await jvm.get(path)).status == 200, path
        assert fake.count() == 0


async def test_the_projects_own_management_decides_over_what_its_dependencies_say(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        jvm = await behind(fake.config("maven"))

        await fetch(jvm, world(fake))

        assert not any("core/1.4" in seen.path for seen in fake.seen)


async def test_what_cannot_be_had_is_said_and_the_rest_is_fetched(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("org.lib:core", {"1.5": library()})
        jvm = await behind(fake.config("maven"), reserve=("com.acme.**",))
        body = b"<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies>"
        body += dependency("com.acme:ours:1.0").encode() + dependency("org.lib:core:1.5").encode()

        found = await fetch(jvm, body + b"</dependencies></project>")

        assert {one.name.partition(" ")[0] for one in found if one.why} == {"com.acme:ours:1.0"}
        assert any(one.name.startswith("org.lib:core:1.5") and one.size for one in found)
        assert not any("acme" in seen.path for seen in fake.seen)


async def test_poms_that_go_in_circles_come_to_an_end(behind: Open) -> None:
    async with FaultyUpstream() as fake:
        fake.maven("org.a:a", {"1": library(dependencies=("org.b:b:1",), parent="org.b:b:1")})
        fake.maven("org.b:b", {"1": library(dependencies=("org.a:a:1",), parent="org.a:a:1")})
        jvm = await behind(fake.config("maven"))
        body = b"<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies>"

        found = await fetch(jvm, body + dependency("org.a:a:1").encode() + b"</dependencies></project>")

        assert {one.name.partition(" ")[0] for one in found} >= {"org.a:a:1", "org.b:b:1"}


def test_the_command_says_what_it_could_not_fetch(tmp_path: Path) -> None:
    config = tmp_path / "entrepot.yaml"
    config.write_text("repositories: {maven: {acme/jvm: {layers: [hosted]}}}")
    project, other = tmp_path / "pom.xml", tmp_path / "other.txt"
    body = "<project><groupId>g</groupId><artifactId>a</artifactId><version>1</version><dependencies>{}</dependencies>"
    project.write_text(f"{body.format(dependency('com.acme:tool:1.0'))}</project>")
    other.write_text("")

    def run(file: Path) -> tuple[int, str]:
        told = [
            "cache",
            "prefetch",
            "maven/acme/jvm",
            str(file),
            "--config",
            str(config),
            "--data",
            str(tmp_path / "d"),
        ]
        done = CliRunner().invoke(app, told)
        return done.exit_code, done.output

    missing, unreadable = run(project), run(other)

    assert missing[0] == 1
    assert "missing com.acme:tool:1.0 tool-1.0.pom: " in missing[1]
    assert unreadable[0] == 2
    assert "pom.xml" in unreadable[1]


def test_expressions_that_go_in_circles_are_left() -> None:
    assert interpolate("${a}", {"a": "${b}", "b": "${a}"}).startswith("${")
    assert len(interpolate("${a}", {"a": "${a}${a}"})) <= 500


def test_a_pom_is_read_with_its_management_apart_from_its_dependencies() -> None:
    found = parse_project(
        b"<project><artifactId>a</artifactId>"
        + MANAGED.format(dependency("g:managed:1")).encode()
        + b"<dependencies>"
        + dependency("g:used", more="<exclusions><exclusion><groupId>x</groupId></exclusion></exclusions>").encode()
        + b"</dependencies></project>"
    )

    assert found.managed == [Dependency("g", "managed", "1")]
    assert found.dependencies == [Dependency("g", "used")]


def test_what_is_no_pom_is_refused() -> None:
    with pytest.raises(Invalid):
        parse_project(b"<project/>")


def test_an_empty_parent_is_none() -> None:
    found = parse_project(b"<project><parent/><groupId>g</groupId><artifactId>a</artifactId></project>")

    assert (found.parent, found.group, found.version) == (None, "g", "")
