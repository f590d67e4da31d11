"""Maven, Gradle, Ivy and coursier, configured and driven as a person would, and small projects for them to build.

A consumer is a function `(world, address, token, wanted) -> Ran` that puts the jars of `group:artifact:version` into `lib`.
"""

import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from tests.clients.tools import Ran, World

SERVER = "entrepot"
USER = "acme"
PLUGINS: Mapping[str, str] = {
    "clean": "3.5.0",
    "compiler": "3.15.0",
    "dependency": "3.8.1",
    "deploy": "3.1.4",
    "install": "3.1.4",
    "jar": "3.4.2",
    "resources": "3.3.1",
    "surefire": "3.5.2",
}
COPY = f"org.apache.maven.plugins:maven-dependency-plugin:{PLUGINS['dependency']}:copy-dependencies"
# Nobody waits here for an upstream that recovers; 3.9 and 4 name the setting differently.
IMPATIENT = ("-Daether.connector.http.retryHandler.count=0", "-Daether.transport.http.retryHandler.count=0")
_SETTINGS = """\
<settings>
  <mirrors>
    <mirror><id>{server}</id><mirrorOf>*</mirrorOf><url>{address}</url></mirror>
  </mirrors>
  <servers>
    <server><id>{server}</id><username>{user}</username><password>{token}</password></server>
  </servers>
  <profiles>
    <profile>
      <id>snapshots</id>
      <activation><activeByDefault>true</activeByDefault></activation>
      <repositories>
        <repository><id>central</id><url>{address}</url><snapshots><enabled>true</enabled></snapshots></repository>
      </repositories>
    </profile>
  </profiles>
</settings>
"""
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  {parent}
  <groupId>{group}</groupId>
  <artifactId>{artifact}</artifactId>
  <version>{version}</version>
  <packaging>{packaging}</packaging>
  <properties>
    <maven.compiler.release>17</maven.compiler.release>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
    <project.build.outputTimestamp>2024-01-02T03:04:06Z</project.build.outputTimestamp>
  </properties>
  <distributionManagement>
    <repository><id>{server}</id><url>${{deployTo}}</url></repository>
    <snapshotRepository><id>{server}</id><url>${{deployTo}}</url></snapshotRepository>
  </distributionManagement>
  <modules>{modules}</modules>
  <dependencies>{dependencies}</dependencies>
  <build><pluginManagement><plugins>{plugins}</plugins></pluginManagement></build>
</project>
"""
_IVY_SETTINGS = """\
<ivysettings>
  <settings defaultResolver="entrepot"/>
  <credentials host="127.0.0.1" realm="{realm}" username="{user}" passwd="{token}"/>
  <resolvers>
    <ibiblio name="entrepot" m2compatible="true" root="{address}"/>
    <url name="publisher" m2compatible="true">
      <ivy pattern="{address}[organisation]/[module]/[revision]/ivy-[revision].xml"/>
      <artifact pattern="{address}[organisation]/[module]/[revision]/[artifact]-[revision].[ext]"/>
    </url>
  </resolvers>
</ivysettings>
"""
_IVY_MODULE = """\
<ivy-module version="2.0">
  <info organisation="{group}" module="{artifact}"/>
  <configurations><conf name="default"/></configurations>
  <publications>
    <artifact name="{artifact}" type="jar" ext="jar" conf="default"/>
    <artifact name="{artifact}" type="pom" ext="pom" conf="default"/>
  </publications>
</ivy-module>
"""
# Debian's Gradle cannot publish Maven publications ("no available connector factories"), Ivy ones in Maven's layout it can.
_GRADLE = """\
apply plugin: 'java'
apply plugin: 'ivy-publish'
group = '{group}'
version = '{version}'
repositories {{
  maven {{ url '{address}'; credentials {{ username '{user}'; password '{token}' }} }}
}}
dependencies {{
{dependencies}
}}
publishing {{
  publications {{
    library(IvyPublication) {{
      artifact(jar)
      artifact(file('library.pom')) {{ name = project.name; extension = 'pom' }}
    }}
  }}
  repositories {{
    ivy {{
      url '{address}'
      credentials {{ username '{user}'; password '{token}' }}
      layout 'pattern', {{
        m2compatible = true
        artifact '[organisation]/[module]/[revision]/[artifact]-[revision].[ext]'
        ivy '[organisation]/[module]/[revision]/ivy-[revision].xml'
      }}
    }}
  }}
}}
task copyLibraries(type: Copy) {{ from configurations.runtime; into 'lib' }}
"""


def configure_maven(world: World, address: str, token: str = "", warm: Path | None = None) -> None:
    """Everything from this one address. warm: a local repository that has the plugins already; it is left alone."""
    folder = world.home / ".m2"
    folder.mkdir(exist_ok=True)
    (folder / "settings.xml").write_text(_SETTINGS.format(server=SERVER, address=address, user=USER, token=token))
    if warm is not None:
        shutil.copytree(warm, folder / "repository", copy_function=os.link)


def pom(
    name: str,
    version: str = "1.0",
    *,
    packaging: str = "jar",
    parent: str = "",
    modules: Iterable[str] = (),
    dependencies: Iterable[str] = (),
) -> str:
    """The POM of a project that deploys to `-DdeployTo`. parent, dependencies: `group:artifact:version`."""
    group, _, artifact = name.partition(":")
    return _POM.format(
        group=group,
        artifact=artifact,
        version=version,
        packaging=packaging,
        server=SERVER,
        parent=f"<parent>{_coordinates(parent)}</parent>" if parent else "",
        modules="".join(f"<module>{module}</module>" for module in modules),
        dependencies="".join(f"<dependency>{_coordinates(one)}</dependency>" for one in dependencies),
        plugins="".join(
            f"<plugin><artifactId>maven-{plugin}-plugin</artifactId><version>{pinned}</version></plugin>"
            for plugin, pinned in PLUGINS.items()
        ),
    )


def make_library(folder: Path, name: str, version: str = "1.0", content: str = "one", **more: Iterable[str]) -> None:
    """A project whose jar says `content` in `content.txt`."""
    resources = folder / "src" / "main" / "resources"
    resources.mkdir(parents=True, exist_ok=True)
    (resources / "content.txt").write_text(content)
    (folder / "pom.xml").write_text(pom(name, version, **more))  # type: ignore[arg-type]


def mvn(client: str, world: World, *arguments: str, cwd: Path | None = None, timeout: float = 300) -> Ran:
    """One run without questions, progress or colours."""
    options = ["--batch-mode", "--no-transfer-progress", *IMPATIENT]
    return world.run(client, *options, *arguments, cwd=cwd, timeout=timeout)


def deploy(client: str, world: World, address: str, *arguments: str, cwd: Path | None = None) -> Ran:
    """`mvn deploy` of the project in `cwd`."""
    return mvn(client, world, f"-DdeployTo={address}", "-DskipTests", *arguments, "deploy", cwd=cwd)


def copy_dependencies(client: str, world: World, *wanted: str, arguments: tuple[str, ...] = ()) -> Ran:
    """Maven copies what a project that depends on `wanted` needs into `lib`."""
    consumer = world.work / "consumer"
    consumer.mkdir(exist_ok=True)
    (consumer / "pom.xml").write_text(pom("com.consumer:consumer", dependencies=wanted))
    shutil.rmtree(world.work / "lib", ignore_errors=True)
    return mvn(client, world, *arguments, COPY, f"-DoutputDirectory={world.work / 'lib'}", cwd=consumer)


def ivy(world: World, address: str, token: str, realm: str, *arguments: str) -> Ran:
    """Ivy's command line; it picks credentials by host and realm."""
    settings = world.work / "ivysettings.xml"
    settings.write_text(_IVY_SETTINGS.format(address=address, token=token, user=USER, realm=realm))
    return world.run("ivy", "-settings", settings, *arguments)


def ivy_retrieve(world: World, address: str, token: str, realm: str, wanted: str) -> Ran:
    group, artifact, version = wanted.split(":")
    pattern = "lib/[artifact]-[revision].[ext]"
    options = ["-dependency", group, artifact, version, "-confs", "default", "-retrieve", pattern, "-types", "jar"]
    return ivy(world, address, token, realm, *options)


def ivy_publish(world: World, address: str, token: str, realm: str, name: str, jar: Path) -> Ran:
    """Ivy publishes a jar as `group:artifact:version`, with a POM and its own file, and no metadata."""
    group, artifact, version = name.split(":")
    files = world.work / "publish"
    files.mkdir()
    shutil.copy(jar, files / f"{artifact}-{version}.jar")
    (files / f"{artifact}-{version}.pom").write_text(pom(f"{group}:{artifact}", version))
    (files / "ivy.xml").write_text(_IVY_MODULE.format(group=group, artifact=artifact))
    pattern = f"{files}/[artifact]-[revision].[ext]"
    options = ["-publish", "publisher", "-publishpattern", pattern, "-revision", version, "-overwrite"]
    return ivy(world, address, token, realm, "-ivy", str(files / "ivy.xml"), *options)


def coursier_fetch(world: World, address: str, token: str, *wanted: str) -> Ran:
    """coursier copies nothing: the files of its cache are linked into `lib`."""
    file = world.work / "coursier.properties"
    known = {"username": USER, "password": token, "host": "127.0.0.1", "https-only": "false", "auto": "true"}
    file.write_text("".join(f"gateway.{key}={value}\n" for key, value in known.items()))
    options = ["--no-default", "--repository", address, "--mode", "update-changing"]
    environment = {"COURSIER_CREDENTIALS": str(file)} if token else {}
    ran = world.run("coursier", "fetch", *options, *wanted, environment=environment)
    library = world.work / "lib"
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir()
    for line in ran.stdout.split():
        (library / Path(line).name).hardlink_to(line)
    return ran


def gradle(
    world: World,
    address: str,
    token: str,
    *arguments: str,
    name: str = "com.consumer:consumer",
    version: str = "1.0",
    content: str = "",
    wanted: Iterable[str] = (),
) -> Ran:
    """One run of Gradle on a project of this name; its tasks are `publish` and `copyLibraries`."""
    group, _, artifact = name.partition(":")
    dependencies = "\n".join(f"  compile '{one}'" for one in wanted)
    (world.work / "settings.gradle").write_text(f"rootProject.name = '{artifact}'\n")
    text = _GRADLE.format(
        group=group, version=version, address=address, user=USER, token=token, dependencies=dependencies
    )
    (world.work / "build.gradle").write_text(text)
    (world.work / "library.pom").write_text(pom(name, version, dependencies=wanted))
    resources = world.work / "src" / "main" / "resources"
    resources.mkdir(parents=True, exist_ok=True)
    (resources / "content.txt").write_text(content or f"gradle {version}")
    shutil.rmtree(world.work / "lib", ignore_errors=True)
    return world.run("gradle", "--no-daemon", "--console=plain", *arguments)


def realm(address: str) -> str:
    """What the challenge of a private repository names: Ivy picks credentials by it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(address, timeout=30).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.headers["WWW-Authenticate"].partition('realm="')[2].partition('"')[0]
    raise AssertionError(f"{address} asks for no credentials")


def said(world: World, pattern: str, member: str = "content.txt") -> str:
    """What a member of the one jar in `lib` that matches the pattern says."""
    (jar,) = (world.work / "lib").glob(pattern)
    with zipfile.ZipFile(jar) as archive:
        return archive.read(member).decode().strip()


Consumer = Callable[[World, str, str, str], Ran]


def _coordinates(text: str) -> str:
    group, artifact, version = text.split(":")
    return f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{escape(version)}</version>"
