"""Client configurations to paste. One mirror of everything: beside a second repository, Maven asks both."""

from gateway.adapter import SnippetContext

# A mirror of `*` stands for `central` alone as long as nothing else is declared, and that has no snapshots.
_SNAPSHOTS = """\
  <profiles>
    <profile>
      <id>snapshots</id>
      <activation><activeByDefault>true</activeByDefault></activation>
      <repositories>
        <repository>
          <id>central</id><url>{base}</url>
          <snapshots><enabled>true</enabled></snapshots>
        </repository>
      </repositories>
    </profile>
  </profiles>
"""


def maven(context: SnippetContext) -> str:
    name = _name(context)
    server = f"    <server><id>{name}</id><username>token</username><password>ent_…</password></server>\n"
    return (
        "<!-- ~/.m2/settings.xml -->\n<settings>\n  <servers>\n"
        f"{server}  </servers>\n  <mirrors>\n"
        f"    <mirror><id>{name}</id><mirrorOf>*</mirrorOf><url>{context.base}</url></mirror>\n"
        "  </mirrors>\n"
        f"{_SNAPSHOTS.format(base=context.base)}</settings>\n\n"
        "<!-- pom.xml, to publish: mvn deploy -->\n<distributionManagement>\n"
        f"  <repository><id>{name}</id><url>{context.base}</url></repository>\n"
        f"  <snapshotRepository><id>{name}</id><url>{context.base}</url></snapshotRepository>\n"
        "</distributionManagement>\n"
    )


def gradle(context: SnippetContext) -> str:
    insecure = "\n            isAllowInsecureProtocol = true" if context.base.startswith("http://") else ""
    login = (
        ""
        if context.is_anonymous
        else '\n            credentials { username = "token"; password = System.getenv("ENTREPOT_TOKEN") }'
    )
    place = f'maven {{\n            url = uri("{context.base}"){insecure}{login}\n        }}'
    return (
        "// settings.gradle.kts\n"
        f"pluginManagement {{\n    repositories {{\n        {place}\n    }}\n}}\n"
        "dependencyResolutionManagement {\n"
        "    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS\n"
        f"    repositories {{\n        {place}\n    }}\n}}\n\n"
        "// build.gradle.kts, to publish: gradle publish\n"
        "plugins { `maven-publish` }\n"
        f"publishing {{\n    repositories {{\n        {place}\n    }}\n}}\n"
    )


def sbt(context: SnippetContext) -> str:
    name = _name(context)
    return (
        "// build.sbt\n"
        "externalResolvers := Seq.empty\n"
        f'resolvers += "{name}" at "{context.base}"\n'
        f'publishTo := Some("{name}" at "{context.base}")\n'
        "publishMavenStyle := true\n"
        "// the realm is what this repository's challenge says\n"
        f'credentials += Credentials("{context.owner}/{context.repository}", "{context.host.partition(":")[0]}",'
        ' "token", sys.env("ENTREPOT_TOKEN"))\n'
    )


def _name(context: SnippetContext) -> str:
    return f"{context.owner}-{context.repository}"


SNIPPETS = {"maven": maven, "gradle": gradle, "sbt": sbt}
