"""Which addresses may be asked: each case is something a hostile document or redirect may say."""

import pytest
from yarl import URL

from gateway.errors import UpstreamTrouble
from gateway.upstream.addresses import Bounds, authority, checked_address, is_same_origin, next_address, parse_address

PUBLIC = Bounds("public", URL("https://index.test/simple/"), frozenset({"index.test", "files.test", "cdn.test:8443"}))
PLAIN = Bounds("plain", URL("http://127.0.0.1:8000/"), frozenset({"127.0.0.1:8000", "files.test"}))

REFUSED = [
    "https://evil.test/x",
    "https://index.test.evil.test/",
    "https://evilindex.test/",
    "https://index.test:8443/",
    "https://cdn.test/",
    "https://index.test./",
    "http://index.test/simple/",
    "https://user:secret@index.test/",
    "https://user@index.test/",
    "https://index.test@evil.test/",
    "https://index.test\\@evil.test/",
    "https://evil.test\\.index.test/",
    "https://index.test/\\..\\x",
    "https://index.test/a\r\nX-Injected: 1",
    "https://index.test/\x00",
    "https://index.test:99999/",
    "https://index.test:port/",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://127.0.0.1/",
    "https://localhost/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://0/",
    "https:///simple/",
    "https://",
    "file:///etc/passwd",
    "ftp://index.test/x",
    "gopher://index.test/",
    "unix:///var/run/docker.sock",
    "data:text/plain,x",
    "//evil.test/x",
    "index.test/simple",
    "",
    "http",
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_document_cannot_send_us_elsewhere(text: str) -> None:
    with pytest.raises(UpstreamTrouble):
        checked_address(text, PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.test/x",
        "//evil.test/x",
        "http://index.test/simple/",
        "https://user:secret@index.test/",
        "file:///etc/passwd",
        "https://169.254.169.254/",
        "https://[::1]/",
        "javascript:alert(1)",
        "https://index.test:22/",
        "\\\\evil.test\\x",
        "/x\r\nHost: evil.test",
        "",
        None,
    ],
)
def test_a_redirect_cannot_send_us_elsewhere(text: str | None) -> None:
    with pytest.raises(UpstreamTrouble):
        next_address(URL("https://index.test/simple/acme/"), text, PUBLIC)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/simple/acme-tool/", "https://index.test/simple/acme-tool/"),
        ("../other/", "https://index.test/simple/other/"),
        ("?a=b", "https://index.test/simple/acme/?a=b"),
        ("//files.test/x", "https://files.test/x"),
        ("https://FILES.test/x", "https://FILES.test/x"),
        ("https://files.test:443/x", "https://files.test/x"),
        ("https://cdn.test:8443/x#part", "https://cdn.test:8443/x"),
        (
            "https://files.test/a%2Fb?X-Signature=a%2Bb%2F%3D&e=1",
            "https://files.test/a%2Fb?X-Signature=a%2Bb%2F%3D&e=1",
        ),
        ("/with space", "https://index.test/with%20space"),
    ],
)
def test_a_redirect_to_the_upstreams_own_hosts_is_followed_as_written(location: str, target: str) -> None:
    assert str(next_address(URL("https://index.test/simple/acme/"), location, PUBLIC)) == target


def test_a_plain_upstream_may_redirect_to_https_and_not_back() -> None:
    encrypted = next_address(URL("http://127.0.0.1:8000/x"), "https://files.test/x", PLAIN)
    assert str(encrypted) == "https://files.test/x"

    with pytest.raises(UpstreamTrouble, match="from https to http"):
        next_address(encrypted, "http://127.0.0.1:8000/x", PLAIN)


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("https://index.test/anything", True),
        ("https://INDEX.test:443/", True),
        ("http://index.test/simple/", False),
        ("https://index.test:8443/", False),
        ("https://files.test/", False),
        ("https://sub.index.test/", False),
    ],
)
def test_credentials_belong_to_one_origin(url: str, is_same: bool) -> None:
    assert is_same_origin(parse_address(url), PUBLIC.base) is is_same


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://a.test/", "a.test"),
        ("https://a.test:443/", "a.test"),
        ("http://a.test:443/", "a.test:443"),
        ("http://A.test:8080/", "a.test:8080"),
        ("http://[::1]:80/", "[::1]"),
        ("http://[::1]:81/", "[::1]:81"),
    ],
)
def test_an_authority_names_a_port_only_where_it_is_unusual(url: str, text: str) -> None:
    assert authority(URL(url)) == text
