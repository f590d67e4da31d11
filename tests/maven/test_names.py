"""What a path means: by position, never by what a segment looks like."""

import pytest

from adapters.maven import names
from adapters.maven.names import FileName, Kind, Spot
from gateway.errors import Invalid


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("com/acme/tool/1.0/tool-1.0.jar", ("com.acme", "tool", "1.0", "", "jar")),
        ("com/acme/log4j-1.2-api/2.0/log4j-1.2-api-2.0.jar", ("com.acme", "log4j-1.2-api", "2.0", "", "jar")),
        ("com/acme/3d-core/1.0/3d-core-1.0.pom", ("com.acme", "3d-core", "1.0", "", "pom")),
        ("com/acme/tool/RELEASE-A/tool-RELEASE-A.jar", ("com.acme", "tool", "RELEASE-A", "", "jar")),
        ("com/acme/tool/1.0/tool-1.0.tar.gz", ("com.acme", "tool", "1.0", "", "tar.gz")),
        ("com/acme/tool/1.0/tool-1.0-bin.tar.gz", ("com.acme", "tool", "1.0", "bin", "tar.gz")),
        ("com/acme/tool/1.0/tool-1.0-linux-x86_64.so", ("com.acme", "tool", "1.0", "linux-x86_64", "so")),
        ("com/acme/tool/1.0/tool-1.0-jdk1.8.jar", ("com.acme", "tool", "1.0", "jdk1.8", "jar")),
        ("com/acme/tool/1.0/tool-1.0.jar.asc", ("com.acme", "tool", "1.0", "", "jar.asc")),
        ("com/acme/tool/1.0/tool-1.0.pom.sigstore.json", ("com.acme", "tool", "1.0", "", "pom.sigstore.json")),
        ("junit/junit/4.13/junit-4.13.jar", ("junit", "junit", "4.13", "", "jar")),
        ("com/acme/tool/1.0+b/tool-1.0+b.jar", ("com.acme", "tool", "1.0+b", "", "jar")),
    ],
)
def test_an_artifact_is_known_by_its_place(path: str, expected: tuple[str, ...]) -> None:
    spot = names.parse_path(path)

    assert spot is not None
    named = names.parse_filename(spot)
    assert named is not None
    assert (spot.group, spot.artifact, spot.version, named.classifier, named.extension) == expected
    assert spot.kind is Kind.FILE


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("tool-1.0-20240102.030405-7.jar", FileName("", "jar", "20240102.030405", 7)),
        ("tool-1.0-20240102.030405-7-sources.jar", FileName("sources", "jar", "20240102.030405", 7)),
        ("tool-1.0-SNAPSHOT.jar", FileName("", "jar")),
        ("tool-1.0-SNAPSHOT-sources.jar", FileName("sources", "jar")),
        ("tool-1.0-20240102.jar", None),
        ("other-1.0-SNAPSHOT.jar", None),
        ("ivy-1.0-SNAPSHOT.xml", None),
    ],
)
def test_snapshots_have_a_build_or_none(filename: str, expected: FileName | None) -> None:
    spot = names.parse_path(f"com/acme/tool/1.0-SNAPSHOT/{filename}")

    assert spot is not None
    assert names.parse_filename(spot) == expected


@pytest.mark.parametrize(
    ("path", "kind", "package", "group", "version"),
    [
        ("com/acme/tool/maven-metadata.xml", Kind.METADATA, "com.acme:tool", "com.acme.tool", ""),
        ("com/acme/maven-metadata.xml", Kind.METADATA, "com:acme", "com.acme", ""),
        ("com/maven-metadata.xml", Kind.METADATA, "com", "com", ""),
        ("com/acme/tool/1-SNAPSHOT/maven-metadata.xml", Kind.SNAPSHOTS, "com.acme:tool", "com.acme.tool", "1-SNAPSHOT"),
        ("com/acme/tool/1.0/maven-metadata.xml", Kind.METADATA, "com.acme.tool:1.0", "com.acme.tool.1.0", ""),
    ],
)
def test_metadata_belongs_to_its_folder(path: str, kind: Kind, package: str, group: str, version: str) -> None:
    spot = names.parse_path(path)

    assert spot is not None
    assert (spot.kind, spot.package, spot.folder_group, spot.version) == (kind, package, group, version)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize(
    "path", ["com/acme/tool/1/tool-1.jar", "com/acme/tool/1/tool-1.jar.asc", "com/a/maven-metadata.xml"]
)
def test_a_checksum_is_one_of_the_file_before_it(path: str, algorithm: str) -> None:
    plain, summed = names.parse_path(path), names.parse_path(f"{path}.{algorithm}")

    assert plain is not None
    assert summed is not None
    assert (summed.checksum, summed.key, summed.kind) == (algorithm, plain.key, plain.kind)


@pytest.mark.parametrize(
    "path",
    [
        "tool-1.0.jar",
        "tool/1.0/tool-1.0.jar",
        "com/acme/../tool/1.0/tool-1.0.jar",
        "com/acme//1.0/tool-1.0.jar",
        "com/acme.x/tool/1.0/tool-1.0.jar",
        "com/acme/tool/${revision}/tool-${revision}.jar",
        "com/acme/tool/1.0/a:b.jar",
        "com/acme/tool/1.0/a*b.jar",
        'com/acme/tool/1.0/a"b.jar',
        "com/acme/tool/1.0/a\x07b.jar",
        "com/acme/tool/1.0/täst.jar",
        f"com/acme/tool/1.0/{'x' * 300}.jar",
        "maven-metadata.xml",
        "",
    ],
)
def test_what_fits_no_place_names_nothing(path: str) -> None:
    assert names.parse_path(path) is None


@pytest.mark.parametrize(
    "filename",
    ["maven-metadata-central.xml", "_remote.repositories", "tool-1.0.pom.lastUpdated", "resolver-status.properties"],
)
def test_what_lies_about_in_local_repositories_is_not_published(filename: str) -> None:
    spot = names.parse_path(f"com/acme/tool/1.0/{filename}")

    assert spot is not None
    assert names.refusal(spot) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("com.acme:tool", "com.acme:tool"),
        ("com.acme:tool:1.0", "com.acme:tool"),
        ("com.acme", "com.acme"),
        ("Com.Acme:Tool", "Com.Acme:Tool"),
    ],
)
def test_coordinates_have_one_spelling(text: str, expected: str) -> None:
    assert names.normalize(text) == expected


@pytest.mark.parametrize("text", ["", ":", "a:", ":a", "a..b:c", "a/b:c", "a b", ".a:b", "a:b:c:d", "é:b", "x" * 700])
def test_what_are_no_coordinates_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        names.normalize(text)


def test_a_file_is_found_by_version_and_name() -> None:
    assert Spot(Kind.FILE, "com.acme", "tool", "1.0", "tool-1.0.jar").key == "1.0/tool-1.0.jar"
