"""What the pages show, and to whom."""

import time

import pytest

from gateway.model import OwnerMode, Visibility
from gateway.store.rows import AuditEntry, TrafficRow
from gateway.upstream.allowance import Allowance
from gateway.upstream.breaker import State
from gateway.upstream.hosts import UpstreamHealth

LEAKS = ("acme/secret", "hidden-package")


@pytest.fixture
async def world(dashboard):
    """A public and a private repository with a package each, traffic in both, and three people."""
    public = await dashboard.repository("acme/open", Visibility.PUBLIC, layers=("hosted", "pypi"))
    private = await dashboard.repository("acme/secret", layers=("hosted", "pypi"))
    await dashboard.publish(public, "left", "left-1.0.whl", "left-1.0.tar.gz", tags={"latest": "1.0"})
    await dashboard.publish(private, "hidden-package", "hidden.whl")
    await dashboard.user("root", is_admin=True)
    await dashboard.user("ann")
    minute = int(time.time() // 60)
    await dashboard.ui.traffic.add(
        [
            TrafficRow(minute, "pypi", "pypi/acme/open", 7, 0, 3, 1, 7000, 1000, 70.0, {"10": 7}),
            TrafficRow(minute, "pypi", "pypi/acme/secret", 1234, 0, 0, 0, 5, 0, 70.0, {"10": 1234}),
        ]
    )
    return dashboard


PAGES = ["", "?hours=24", "repositories", "repositories/pypi/acme/open", "repositories/pypi/acme/open/packages/left"]


@pytest.mark.parametrize("path", PAGES)
async def test_anonymous_sees_public_repositories_and_no_trace_of_private_ones(world, path):
    response = await world.get(path)

    assert response.status == 200
    assert not any(leak in response.page for leak in LEAKS)
    assert "1234" not in response.page
    assert "1241" not in response.page  # nor in a sum


async def test_a_stranger_who_signed_in_sees_no_trace_of_private_repositories_either(world):
    await world.sign_in("ann")

    for path in [*PAGES, "upstreams", "tokens", "audit"]:
        response = await world.get(path)
        assert response.status == 200
        assert not any(leak in response.page for leak in LEAKS)


async def test_a_private_repository_and_one_that_is_not_there_look_the_same(world):
    answers = [await world.get(f"repositories/pypi/acme/{name}") for name in ("secret", "nowhere")]
    assert [answer.status for answer in answers] == [303, 303]

    await world.sign_in("ann")
    pages = [await world.get(f"repositories/pypi/acme/{name}") for name in ("secret", "nowhere")]

    assert [page.status for page in pages] == [404, 404]
    assert pages[0].page.replace("secret", "") == pages[1].page.replace("nowhere", "")


async def test_an_administrator_sees_everything(world):
    await world.sign_in("root")

    assert "1241" in (await world.get("")).page
    assert "hidden-package" in (await world.get("repositories/pypi/acme/secret")).page
    assert "acme/secret" in (await world.get("repositories")).page


async def test_a_restricted_package_is_shown_to_its_people_only(world):
    public = world.ui.services.repositories.all()[0]
    await world.publish(public, "whisper", "whisper.whl")
    await world.ui.services.packages.set_restricted(public.id, "whisper", True)

    assert "whisper" not in (await world.get("repositories/pypi/acme/open")).page
    assert (await world.get("repositories/pypi/acme/open/packages/whisper")).status == 404


async def test_a_repository_shows_its_packages_and_a_set_up_to_paste(world):
    page = (await world.get("repositories/pypi/acme/open")).page

    assert "index-url = http://gateway.example/pypi/acme/open/simple/" in page
    assert "# token needed: False" in page
    assert 'href="/-/ui/repositories/pypi/acme/open/packages/left"' in page
    assert "4.0 KiB" in page


async def test_a_package_shows_versions_files_and_tags(world):
    page = (await world.get("repositories/pypi/acme/open/packages/LEFT")).page

    assert "left-1.0.tar.gz" in page
    assert '<span class="badge">latest</span>' in page
    assert "no upstream is asked about it" in page


async def test_a_package_of_an_upstream_says_who_owns_it(world):
    public = world.ui.services.repositories.all()[0]
    row = await world.ui.services.packages.adopt(public.id, "requests", "pypi")
    assert row.owner_mode is OwnerMode.UPSTREAM

    assert "This name belongs to pypi" in (await world.get("repositories/pypi/acme/open/packages/requests")).page


@pytest.mark.parametrize("name", ["none", "no such", "..%2f", "%00"])
async def test_an_unknown_package_is_unknown(world, name):
    assert (await world.get(f"repositories/pypi/acme/open/packages/{name}")).status in {400, 404}


@pytest.mark.parametrize("path", ["upstreams", "tokens", "audit", "repositories/pypi/acme/secret"])
async def test_what_needs_somebody_leads_to_the_sign_in_and_back(world, path):
    response = await world.get(path)
    assert response.status == 303
    sign_in = response.headers["Location"].removeprefix("/-/ui/")

    form = (await world.get(sign_in)).page

    assert f'name="next" value="/-/ui/{path}"' in form


async def test_upstreams_are_those_behind_readable_repositories(world):
    await world.sign_in("ann")

    page = (await world.get("upstreams")).page

    assert "<h2>pypi " in page
    assert "<h2>npm " not in page


async def test_an_upstream_shows_how_much_more_it_may_be_asked(world, monkeypatch):
    allowance = Allowance(limit=100, left=7, window=60.0, at=0.0)
    health = UpstreamHealth("pypi", "h:1", State.CLOSED, 0, None, 1.0, None, 3, 4, allowance=allowance)
    monkeypatch.setattr(world.ui.services.client, "health", lambda: [health])
    await world.sign_in("ann")

    page = (await world.get("upstreams")).page

    assert '<td class="num bad">7 of 100</td>' in page


async def test_the_audit_shows_others_only_to_administrators(world):
    await world.ui.services.audit.append(
        [
            AuditEntry(time.time(), "ann", "publish", "pypi/acme/open", "left"),
            AuditEntry(time.time(), "bob", "bobs-deed"),
        ]
    )
    await world.sign_in("ann")
    for path in ("audit", "audit?actor=bob", "audit?actor=bob&before=999"):
        assert "bobs-deed" not in (await world.get(path)).page
    await world.sign_in("root")

    assert "bobs-deed" in (await world.get("audit?actor=bob")).page
    assert "bobs-deed" not in (await world.get("audit?actor=ann")).page


async def test_a_member_is_shown_in_a_group_only_to_who_may_read_it(world):
    await world.repository("acme/all", Visibility.PUBLIC, layers=("acme/open", "acme/secret"))

    page = (await world.get("repositories/pypi/acme/all")).page

    assert "acme/open" in page
    assert "acme/secret" not in page


async def test_head_is_answered_like_get(world):
    async with world.client.head("/-/ui/") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_another_method_or_address_is_refused(world):
    assert (await world.get("nowhere")).status == 404
    response = await world.post("repositories")
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
