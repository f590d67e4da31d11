"""Reading what a package says of itself (nuget.md §10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.nuget.nuspec import parse
from gateway.errors import Invalid
from tests.fakes.nuget import NUSPEC, nuspec

LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'


def document(metadata: str, *, head: str = "", namespace: str | None = NUSPEC) -> bytes:
    xmlns = f' xmlns="{namespace}"' if namespace else ""
    return f"{head}<package{xmlns}><metadata>{metadata}</metadata></package>".encode()


BASIC = "<id>Demo.Core</id><version>1.0</version>"


@pytest.mark.parametrize("namespace", [None, NUSPEC, "http://schemas.microsoft.com/packaging/2010/07/nuspec.xsd"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_any_namespace_and_a_byte_order_mark_are_fine(namespace, start):
    found = parse(start.encode() + document(BASIC, namespace=namespace))

    assert (found.id, found.version.key) == ("Demo.Core", "1.0.0")


def test_utf_16_is_read():
    text = document(BASIC).decode()

    assert parse(f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16")).id == "Demo.Core"


def test_all_that_a_registration_shows_is_read():
    found = parse(
        nuspec(
            "Demo.Core",
            "1.0.0-rc.1+b",
            {"Left": "1.0"},
            {"net45": {"Right": "[1,2)"}, "net6.0": {}},
            {"title": "T", "tags": "a, b;c", "language": "en", "developmentDependency": "true"},
            ("DotnetTool", "Other"),
            '<license type="expression">MIT OR Apache-2.0</license><repository type="git" url="https://x" commit="c"/>',
        )
    )

    assert found.entry["version"] == "1.0.0-rc.1+b"
    assert found.entry["tags"] == ["a", "b", "c"]
    assert found.entry["licenseExpression"] == "MIT OR Apache-2.0"
    assert found.entry["packageTypes"] == [{"name": "DotnetTool"}, {"name": "Other"}]
    assert found.entry["developmentDependency"] is True
    assert found.entry["repository"]["commit"] == "c"
    assert found.types == {"dotnettool", "other"}
    assert found.entry["dependencyGroups"] == [
        {"dependencies": [{"id": "Left", "range": "[1.0.0, )"}]},
        {"targetFramework": "net45", "dependencies": [{"id": "Right", "range": "[1.0.0, 2.0.0)"}]},
        {"targetFramework": "net6.0", "dependencies": []},
    ]


def test_a_package_without_types_is_a_dependency():
    assert parse(document(BASIC)).entry["packageTypes"] == [{"name": "Dependency"}]


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//x", "https://", "no"]
)
def test_an_address_that_is_none_is_left_out(address):
    assert "projectUrl" not in parse(document(f"{BASIC}<projectUrl>{address}</projectUrl>")).entry


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        document(BASIC, head=LAUGHS),
        document(f"{BASIC}<title>&c;</title>", head=LAUGHS),
        document(BASIC, head='<!DOCTYPE package SYSTEM "file:///etc/passwd">'),
        document(BASIC, head='<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/x"> %p;]>'),
        document(f"{BASIC}<title>&undeclared;</title>"),
        document("<id>Demo.Core</id>"),
        document("<version>1.0</version>"),
        document(f"{BASIC}<id>Other</id>"),
        document(f"{BASIC}<version>2.0</version>"),
        document("<id>a b</id><version>1.0</version>"),
        document("<id>Demo.Core</id><version>$version$</version>"),
        document(f"{BASIC}<dependencies><dependency id='..' version='1'/></dependencies>"),
        document(f"{BASIC}<dependencies><dependency id='a' version='*'/></dependencies>"),
        document(f"{BASIC}<dependencies>{'<dependency id=&quot;a&quot;/>' * 2}</dependencies>"),
        document(f"{BASIC}<dependencies>{'<group/>' * 6000}</dependencies>"),
        document(BASIC)[:-5],
        document(BASIC).replace(b"package", b"other"),
        document(BASIC + "<title>" + "x" * 1024 * 1024 + "</title>"),
        b"<package><metadata>" + BASIC.encode() + b"</metadata><metadata/></package>",
        b'<?xml version="1.0" encoding="utf-7"?>' + document(BASIC),
    ],
    ids=range(22),
)
def test_what_is_no_nuspec_is_refused(body):
    with pytest.raises(Invalid):
        parse(body)


def test_elements_within_elements_without_end_are_refused_or_read():
    deep = "<a>" * 50_000 + "</a>" * 50_000

    assert parse(document(BASIC + deep)).id == "Demo.Core"


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_crash(body):
    for candidate in (body, document(BASIC).replace(b"1.0", body, 1)):
        try:
            parse(candidate)
        except Invalid:
            continue
