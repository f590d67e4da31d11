"""The public registries: the one place where their addresses stand."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """A public registry: its type, base URL, and the further hosts that its documents name for files."""

    type: str
    url: str
    hosts: tuple[str, ...] = ()


PRESETS = {
    "pypi": Preset("pypi", "https://pypi.org/simple/", ("files.pythonhosted.org",)),
    "npm": Preset("npm", "https://registry.npmjs.org/"),
    "maven-central": Preset("maven", "https://repo.maven.apache.org/maven2/"),
    "nuget": Preset("nuget", "https://api.nuget.org/v3/index.json"),
    "rubygems": Preset("rubygems", "https://rubygems.org/"),
    "docker-hub": Preset("container", "https://registry-1.docker.io/"),
}
