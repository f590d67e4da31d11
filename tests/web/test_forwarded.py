import pytest
from multidict import CIMultiDict

from gateway.errors import ConfigInvalid, Invalid
from gateway.web.forwarded import Client, TrustedProxies

PROXIES = TrustedProxies(("10.0.0.0/8", "fd00::/8"))
PROXY = "10.0.0.2"


def read(headers, peer=PROXY, proxies=PROXIES, scheme="http"):
    return proxies.read(CIMultiDict([("Host", "inside:8080"), *headers]), peer, scheme)


def test_an_untrusted_peer_cannot_say_who_it_is():
    headers = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=10.0.0.1;proto=https;host=evil.example"),
    ]

    assert read(headers, peer="203.0.113.9") == Client("203.0.113.9", "http", "inside:8080")
    assert read(headers, proxies=TrustedProxies(())) == Client(PROXY, "http", "inside:8080")


def test_a_trusted_proxy_is_believed():
    headers = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "Packages.Example.com"),
    ]

    assert read(headers) == Client("203.0.113.9", "https", "packages.example.com")


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("192.168.7.7, 203.0.113.9", "203.0.113.9"),  # the client wrote the left part itself
        ("10.0.0.77, 203.0.113.9", "203.0.113.9"),  # ... even with the address of a proxy
        ("203.0.113.9, 10.0.0.3", "203.0.113.9"),  # two proxies of ours
        ("1.2.3.4, 203.0.113.9, 10.0.0.3, 10.0.0.4", "203.0.113.9"),
        ("10.0.0.9, 10.0.0.3", "10.0.0.9"),  # a client inside our own network
        ("203.0.113.9:5678", "203.0.113.9"),
        ("[2001:db8::1]:5678", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", ""),
        ("203.0.113.9, garbage", ""),
        ("203.0.113.9,", ""),
        ("'; drop table--", ""),
    ],
)
def test_the_chain_is_read_from_right_to_left(chain, expected):
    assert read([("X-Forwarded-For", chain)]).address == expected


def test_several_header_lines_are_one_list():
    headers = [("X-Forwarded-For", "192.168.7.7"), ("X-Forwarded-For", "203.0.113.9")]

    assert read(headers).address == "203.0.113.9"


def test_a_proto_that_the_client_prepended_is_not_believed():
    headers = [("X-Forwarded-For", "1.1.1.1, 203.0.113.9"), ("X-Forwarded-Proto", "https, http")]

    assert read(headers, scheme="http").scheme == "http"


def test_a_host_that_the_client_prepended_is_not_believed():
    headers = [
        ("X-Forwarded-For", "203.0.113.9, 10.0.0.3"),
        ("X-Forwarded-Host", "evil.example, pkg.example.com, inner"),
    ]

    assert read(headers).host == "pkg.example.com"


@pytest.mark.parametrize("value", ["evil.example/path", "a b", "user@host", "host:port", "", "x" * 300, 'a"b', "[::1"])
def test_a_forwarded_host_that_is_none_is_ignored(value):
    assert read([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Host", value)]).host == "inside:8080"


def test_a_forwarded_scheme_that_is_none_is_ignored():
    assert read([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "javascript")]).scheme == "http"


def test_scheme_and_host_count_without_a_client_address():
    headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "pkg.example.com")]

    assert read(headers) == Client(PROXY, "https", "pkg.example.com")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.9;proto=https;host=pkg.example.com", Client("203.0.113.9", "https", "pkg.example.com")),
        ('For="[2001:db8::1]:47011"', Client("2001:db8::1", "http", "inside:8080")),
        ("for=192.168.7.7, for=203.0.113.9;proto=https", Client("203.0.113.9", "https", "inside:8080")),
        ("for=203.0.113.9;proto=https, for=10.0.0.3;proto=http", Client("203.0.113.9", "https", "inside:8080")),
        ("for=unknown", Client("", "http", "inside:8080")),
        ("for=_hidden", Client("", "http", "inside:8080")),
        ('for="10.0.0.1, for=10.0.0.5', Client("", "http", "inside:8080")),
        ('for="10.0.0.1\\", for=203.0.113.9"', Client("", "http", "inside:8080")),
        ("for=203.0.113.9;for=10.0.0.1", Client("", "http", "inside:8080")),
        ("nonsense", Client("", "http", "inside:8080")),
    ],
)
def test_the_forwarded_header_is_read_the_same_way(value, expected):
    assert read([("Forwarded", value)]) == expected


def test_two_lists_that_disagree_name_nobody():
    """A proxy that writes one of them passes the client's own version of the other through."""
    headers = [("X-Forwarded-For", "10.0.0.1"), ("Forwarded", "for=203.0.113.9;proto=https;host=evil.example")]

    assert read(headers) == Client("", "http", "inside:8080")


def test_two_lists_that_agree_are_fine():
    headers = [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")]

    assert read(headers).address == "203.0.113.9"


def test_an_endless_header_is_not_read():
    assert read([("Forwarded", "for=10.0.0.1," * 1000)]).address == ""
    assert read([("X-Forwarded-For", "10.0.0.1," * 10000 + "203.0.113.9")]).address == "203.0.113.9"


@pytest.mark.parametrize("host", ["a b", "host/path", "a@b", "a\\b", "[::1]x", "-x"])
def test_a_host_header_that_is_no_host_is_refused(host):
    with pytest.raises(Invalid):
        PROXIES.read(CIMultiDict({"Host": host}), PROXY, "http")


def test_a_wrong_network_is_named_at_start():
    with pytest.raises(ConfigInvalid, match="trusted_proxies"):
        TrustedProxies(("10.0.0.0/40",))
