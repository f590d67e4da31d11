"""A POM as a build sees it: with what it inherits, imports and fills in from properties. Pure."""

import re
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from adapters.maven.markup import parse_pom
from gateway.errors import Invalid

_EXPRESSION = re.compile(r"\$\{([^${}]{1,200})\}")
_EXTENSIONS = {
    "test-jar": "jar",
    "maven-plugin": "jar",
    "ejb": "jar",
    "ejb-client": "jar",
    "bundle": "jar",
    "java-source": "jar",
}
_CLASSIFIERS = {"test-jar": "tests", "ejb-client": "client", "java-source": "sources"}
_ROUNDS = 8


class Dependency(Struct, frozen=True):
    """One dependency as written; empty where it says nothing."""

    group: str
    artifact: str
    version: str = ""
    type: str = "jar"
    classifier: str = ""
    scope: str = ""
    is_optional: bool = False

    @property
    def name(self) -> str:
        return f"{self.group}:{self.artifact}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What management goes by."""
        return (self.group, self.artifact, self.type, self.classifier)

    @property
    def filename(self) -> str:
        """The file that it stands for; empty for a POM alone."""
        if self.type == "pom":
            return ""
        classifier = self.classifier or _CLASSIFIERS.get(self.type, "")
        suffix = f"-{classifier}" if classifier else ""
        return f"{self.artifact}-{self.version}{suffix}.{_EXTENSIONS.get(self.type, self.type)}"


class Project(Struct):
    """What a POM says, or, once it `inherits`, what it means."""

    group: str = ""
    artifact: str = ""
    version: str = ""
    parent: tuple[str, str, str] | None = None
    properties: dict[str, str] = field(default_factory=dict)
    managed: list[Dependency] = field(default_factory=list)
    dependencies: list[Dependency] = field(default_factory=list)

    def inherit(self, parent: "Project | None") -> None:
        """Take over what the parent has and this one does not say."""
        if parent is not None:
            self.group = self.group or parent.group
            self.version = self.version or parent.version
            self.properties = parent.properties | self.properties
            self.managed = [*self.managed, *parent.managed]
            self.dependencies = [*self.dependencies, *parent.dependencies]
        for key, value in (("groupId", self.group), ("artifactId", self.artifact), ("version", self.version)):
            self.properties[f"project.{key}"] = self.properties[f"pom.{key}"] = value

    def fill(self, dependency: Dependency) -> Dependency:
        """The dependency without expressions; one that nobody defines stays."""
        return Dependency(
            interpolate(dependency.group, self.properties),
            interpolate(dependency.artifact, self.properties),
            interpolate(dependency.version, self.properties),
            interpolate(dependency.type, self.properties),
            interpolate(dependency.classifier, self.properties),
            dependency.scope,
            dependency.is_optional,
        )


def interpolate(text: str, properties: Mapping[str, str]) -> str:
    """The text with its `${…}` filled in, as far as they are known; what goes in circles is left."""
    for _ in range(_ROUNDS):
        filled = _EXPRESSION.sub(lambda match: properties.get(match[1], match[0]), text)[:500]
        if filled == text:
            return text
        text = filled
    return text


def managed_version(dependency: Dependency, *managements: Mapping[tuple[str, str, str, str], Dependency]) -> Dependency:
    """The dependency with its version, and scope, from the first management that has it."""
    for management in managements:
        known = management.get(dependency.key)
        if known is not None:
            version = dependency.version or known.version
            return replace(dependency, version=version, scope=dependency.scope or known.scope)
    return dependency


def parse_project(body: bytes) -> Project:
    """Read a POM; raises Invalid."""
    found = Project()
    current: dict[str, str] = {}

    def leave(path: tuple[str, ...], text: str) -> None:
        match path:
            case ("properties", key):
                found.properties[key] = text
            case ("dependencies", "dependency", key) | ("dependencyManagement", "dependencies", "dependency", key):
                current[key] = text
            case _:
                pass

    def close(path: tuple[str, ...]) -> None:
        if path[-2:] == ("dependencies", "dependency"):
            if path[0] == "dependencies":
                found.dependencies.append(_dependency(current))
            elif path[0] == "dependencyManagement":
                found.managed.append(_dependency(current))
            current.clear()

    pom = parse_pom(body, leave, close)
    if not pom.artifact:
        raise Invalid("the POM has no artifactId")
    group, parent, version = pom.parent or ("", "", "")
    found.artifact, found.parent = pom.artifact, pom.parent if parent else None
    found.group, found.version = pom.group or group, pom.version or version
    return found


def _dependency(said: Mapping[str, str]) -> Dependency:
    return Dependency(
        said.get("groupId", ""),
        said.get("artifactId", ""),
        said.get("version", ""),
        said.get("type") or "jar",
        said.get("classifier", ""),
        said.get("scope", ""),
        said.get("optional") == "true",
    )
