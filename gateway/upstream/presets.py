"""The public registries: the one place where their addresses stand."""

from msgspec import Struct


class Preset(Struct, frozen=True):
    """A public registry: its type, base URL, and the further hosts that its documents name for files.

    include: the only package patterns that it has, where it is one of a few. namespace, prefixes: see UpstreamConfig.
    """

    type: str
    url: str
    hosts: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    namespace: str = ""
    prefixes: bool = False


PRESETS = {
    "pypi": Preset("pypi", "https://pypi.org/simple/", ("files.pythonhosted.org",)),
    "npm": Preset("npm", "https://registry.npmjs.org/"),
    "maven-central": Preset("maven", "https://repo.maven.apache.org/maven2/", prefixes=True),
    "google-maven": Preset(
        "maven",
        "https://maven.google.com/",
        ("dl.google.com",),
        ("android.arch.**", "androidx.**", "com.android.**", "com.google.**", "com.crashlytics.**", "io.fabric.**"),
    ),
    "gradle-plugins": Preset(
        "maven",
        "https://plugins.gradle.org/m2/",
        ("plugins-artifacts.gradle.org", "repo.maven.apache.org", "repo1.maven.org"),
    ),
    "nuget": Preset(
        "nuget",
        "https://api.nuget.org/v3/index.json",
        ("azuresearch-usnc.nuget.org", "azuresearch-ussc.nuget.org", "data.nuget.org"),
    ),
    "rubygems": Preset("rubygems", "https://rubygems.org/"),
    "docker-hub": Preset(
        "container",
        "https://registry-1.docker.io/",
        (
            "auth.docker.io",
            "production.cloudflare.docker.com",
            "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
        ),
        namespace="library",
    ),
}

# What clients call a registry that they ask us for (`?ns=`), where that has several spellings.
NAMESPACES = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}
