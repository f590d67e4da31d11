"""Uploads as the clients send them, over the real application."""

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest

from gateway.config import ServerConfig
from gateway.model import Digest, Scope
from tests.conftest import Gateway, StartGateway, private, public
from tests.fakes.artifacts import Artifact, sdist, tar_gz_of, wheel, zip_of
from tests.fakes.upstream import FaultyUpstream
from tests.pypi.asking import BOUNDARY, UV_PUBLISH, Field, ask, fields_of, form, get, page, publish, send

WHEEL, SDIST = wheel().build("foo", "1.0"), sdist().build("foo", "1.0")


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> Gateway:
    return await start_gateway({"pypi": {"acme/tools": public("hosted")}})


def attestation(artifact: Artifact, **changes: Any) -> dict[str, Any]:
    """A publish attestation of this file; changes go into its statement."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": artifact.filename, "digest": {"sha256": artifact.sha256}}],
        "predicateType": "https://docs.pypi.org/attestations/publish/v1",
        "predicate": None,
        **changes,
    }
    encoded = base64.b64encode(json.dumps(statement).encode()).decode()
    return {
        "version": 1,
        "verification_material": {"certificate": "AAAA", "transparency_entries": [{"logIndex": 1}]},
        "envelope": {"statement": encoded, "signature": "AAAA"},
    }


def content_first(fields: list[Field]) -> list[Field]:
    return [fields[-1], *fields[:-1]]


@pytest.mark.parametrize("path", ["legacy/", "legacy", "", "legacy/?token=ci"])
async def test_all_upload_addresses_take_a_file_without_a_redirect(gateway: Gateway, path: str) -> None:
    token = await gateway.token()

    sent = await send(gateway, fields_of(WHEEL, "foo", "1.0"), token, path=path)
    shown = (await page(gateway, "foo")).files

    assert (sent.status, sent.body) == (200, b"")
    assert shown[WHEEL.filename]["hashes"] == {"sha256": WHEEL.sha256}
    assert (await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}")).body == WHEEL.body


async def test_the_repository_with_and_without_slash_takes_uploads_too(gateway: Gateway) -> None:
    token = await gateway.token()

    for number, path in enumerate(("/pypi/acme/tools", "/pypi/acme/tools/")):
        built = sdist().build("foo", f"{number}.0")
        assert (await send(gateway, fields_of(built, "foo", f"{number}.0"), token, path=path)).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        content_first(fields_of(SDIST, "foo", "1.0")),
        fields_of(SDIST, "foo", "1.0", pyversion=None),  # flit
        fields_of(SDIST, "foo", "1.0", pyversion="", comment="", gpg_signature=None, attestations=""),  # pdm
        fields_of(SDIST, "foo", "1.0", sha256_digest=None),
        fields_of(SDIST, "FOO", "1.0.0", blake2_256_digest="UNKNOWN"),
        fields_of(SDIST, "foo", "1.0", protocol_version=None),
        [*fields_of(SDIST, "foo", "1.0"), ("attestations", json.dumps([attestation(SDIST)]))],  # uv
    ],
    ids=["content first", "flit", "pdm", "blake2 only", "spelled otherwise", "no protocol", "attestations last"],
)
async def test_every_clients_form_is_understood(gateway: Gateway, fields: list[Field]) -> None:
    token = await gateway.token()

    sent = await send(gateway, fields, token)

    assert sent.status == 200, sent.text
    assert (await page(gateway, "foo")).json["versions"] == ["1.0"]


async def test_the_action_may_be_in_the_query(gateway: Gateway) -> None:
    fields = fields_of(SDIST, "foo", "1.0", **{":action": None})

    assert (await send(gateway, fields, await gateway.token(), path="legacy/?:action=file_upload")).status == 200


async def test_the_same_file_again_changes_nothing(gateway: Gateway) -> None:
    token = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", token)
    before = await page(gateway, "foo")

    again = await publish(gateway, WHEEL, "foo", "1.0", token)
    after = await page(gateway, "foo")

    assert again.status == 200
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])


async def test_other_content_under_the_same_name_is_400_in_every_clients_words(gateway: Gateway) -> None:
    token = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", token)
    other = wheel(description="other").build("foo", "1.0")
    sentence = f"File already exists ('{WHEEL.filename}', with sha256 hash '{WHEEL.sha256}')."

    twine = await publish(gateway, other, "foo", "1.0", token)
    uv = await send(gateway, fields_of(other, "foo", "1.0"), token, Accept=UV_PUBLISH)

    assert (twine.status, twine.reason, twine.text) == (400, sentence, f"{sentence}\n")
    assert uv.headers["Content-Type"] == "application/json"
    assert uv.json == {"code": f"400 {sentence}", "message": sentence, "title": "Bad Request"}
    assert (await get(gateway, f"files/foo/-/{WHEEL.filename}")).body == WHEEL.body


async def test_two_uploads_at_once_leave_one_file_and_one_refusal(gateway: Gateway) -> None:
    token = await gateway.token()
    other = wheel(description="other").build("foo", "1.0")

    replies = await asyncio.gather(
        publish(gateway, WHEEL, "foo", "1.0", token), publish(gateway, other, "foo", "1.0", token)
    )

    assert sorted(reply.status for reply in replies) == [200, 400]
    refused = next(reply for reply in replies if reply.status == 400)
    assert "already exist" in refused.reason
    assert len((await page(gateway, "foo")).files) == 1


NOT_FOO = wheel().build("bar", "1.0")
LYING = Artifact(WHEEL.filename, wheel(metadata={"Name": "bar"}).build("foo", "1.0").body)
WRONG_VERSION = Artifact(WHEEL.filename, wheel(metadata={"Version": "2.0"}).build("foo", "1.0").body)
BOMB = Artifact(WHEEL.filename, zip_of({"bomb": bytes(65 * 1024**2)}))
NO_INFO = Artifact(SDIST.filename, tar_gz_of({"foo-1.0/setup.py": b""}))


WRONG: list[tuple[list[Field], str]] = [
    (fields_of(WHEEL, "foo", "1.0", sha256_digest="0" * 64), "sha256_digest"),
    (fields_of(WHEEL, "foo", "1.0", md5_digest="0" * 32), "md5_digest"),
    (fields_of(WHEEL, "foo", "1.0", blake2_256_digest="junk"), "blake2_256_digest"),
    (fields_of(WHEEL, "foo", "1.0", sha256_digest=None, blake2_256_digest=None), "at least one"),
    (fields_of(WHEEL, "bar", "1.0"), "content"),
    (fields_of(NOT_FOO, "foo", "1.0"), "content"),
    (fields_of(WHEEL, "foo", "2.0"), "version"),
    (fields_of(WHEEL, "foo", "junk"), "version"),
    (fields_of(WHEEL, "f oo", "1.0"), "name"),
    (fields_of(WHEEL, "foo", "1.0", name=None), "name"),
    (fields_of(WHEEL, "foo", "1.0", filetype="sdist"), "filetype"),
    (fields_of(WHEEL, "foo", "1.0", filetype=None), "filetype"),
    (fields_of(WHEEL, "foo", "1.0", protocol_version="2"), "protocol_version"),
    (fields_of(WHEEL, "foo", "1.0", **{":action": "explode"}), ":action"),
    (fields_of(WHEEL, "foo", "1.0")[:-1], "content"),
    ([*fields_of(WHEEL, "foo", "1.0"), ("name", "bar")], "name"),
    ([*fields_of(WHEEL, "foo", "1.0"), ("content", b"", "x.whl")], "content"),
    (fields_of(Artifact("../foo-1.0-py3-none-any.whl", WHEEL.body), "foo", "1.0"), "content"),
    (fields_of(Artifact("foo-1.0.egg", WHEEL.body), "foo", "1.0"), "content"),
    (fields_of(Artifact("foo-1.0.tar.bz2", WHEEL.body), "foo", "1.0"), "content"),
    (fields_of(LYING, "foo", "1.0"), "name"),
    (fields_of(WRONG_VERSION, "foo", "1.0"), "version"),
    (fields_of(BOMB, "foo", "1.0"), "inflates"),
    (fields_of(NO_INFO, "foo", "1.0"), "PKG-INFO"),
    (fields_of(Artifact(WHEEL.filename, b"no zip"), "foo", "1.0"), "zip"),
    ([("gpg_signature", b"junk", "x.asc"), *fields_of(WHEEL, "foo", "1.0")], "gpg_signature"),
]


async def test_a_wrong_form_is_400_names_what_is_wrong_and_stores_nothing(gateway: Gateway) -> None:
    token = await gateway.token()

    for fields, word in WRONG:
        refused = await send(gateway, fields, token)

        assert refused.status == 400, word
        assert word in refused.reason
    assert (await page(gateway, "foo")).status == 404
    assert list(gateway.services.hosted.walk()) == []
    assert not any((gateway.services.hosted.root / "uploads").iterdir())


async def test_a_form_that_is_cut_off_or_no_form_stores_nothing(gateway: Gateway) -> None:
    token = await gateway.token()
    whole = form(fields_of(WHEEL, "foo", "1.0"))
    kind = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}

    cut = await ask(gateway, "POST", "legacy/", token, data=whole[:-8], **kind)
    other = await ask(gateway, "POST", "legacy/", token, data=b"{}", Content_Type="application/json")
    none = await ask(gateway, "POST", "legacy/", token, data=b"", Content_Type="multipart/form-data")

    assert (cut.status, other.status, none.status) == (400, 400, 400)
    assert (await page(gateway, "foo")).status == 404


@pytest.mark.parametrize("action", ["submit", "submit_pkg_info", "doc_upload"])
async def test_retired_actions_are_gone(gateway: Gateway, action: str) -> None:
    refused = await send(gateway, [(":action", action), ("name", "foo")], await gateway.token())

    assert refused.status == 410
    assert "was ever registered" not in refused.text


async def test_credentials_are_judged_before_anything_else_and_the_body_is_drained(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": private("hosted")}})
    big = wheel(size=6 * 1024**2).build("foo", "1.0")
    read_only = await gateway.token(scopes=(Scope.READ,))
    no_grant = await gateway.token("eve", is_admin=False)

    nobody = await publish(gateway, big, "foo", "1.0", None)
    reader = await publish(gateway, big, "foo", "1.0", read_only)
    stranger = await publish(gateway, big, "foo", "1.0", no_grant)

    assert (nobody.status, nobody.headers["WWW-Authenticate"]) == (401, 'Basic realm="acme/tools"')
    assert (reader.status, stranger.status) == (403, 403)
    assert "write:packages" in reader.reason
    assert list(gateway.services.hosted.walk()) == []


async def test_a_token_for_some_packages_publishes_only_those(gateway: Gateway) -> None:
    token = await gateway.token(packages=("foo*",))

    mine = await publish(gateway, WHEEL, "foo", "1.0", token)
    other = await publish(gateway, NOT_FOO, "bar", "1.0", token)

    assert (mine.status, other.status) == (200, 403)
    assert (await page(gateway, "bar")).status == 404


async def test_a_file_over_the_limit_is_413_with_the_limit(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        {"pypi": {"acme/tools": public("hosted")}}, server=ServerConfig(max_upload_size=100_000)
    )

    refused = await publish(gateway, wheel(size=200_000).build("foo", "1.0"), "foo", "1.0", await gateway.token())

    assert refused.status == 413
    assert "100000" in refused.reason
    assert list(gateway.services.hosted.walk()) == []


async def test_fields_of_any_size_are_refused_rather_than_kept(gateway: Gateway) -> None:
    fields: list[Field] = [("comment", "x" * 100_000), *fields_of(WHEEL, "foo", "1.0")]

    assert (await send(gateway, fields, await gateway.token())).status == 413


async def test_an_upstreams_name_needs_a_claim(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        (theirs,) = fake.pypi("foo", {"9.0": wheel()})
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})
        await get(gateway, f"files/foo/{theirs.sha256}/{theirs.filename}")

        refused = await publish(gateway, WHEEL, "foo", "1.0", await gateway.token())

        assert refused.status == 403
        assert "claim" in refused.reason


async def test_attestations_of_the_file_become_its_provenance(gateway: Gateway) -> None:
    token = await gateway.token()
    given = [attestation(WHEEL)]
    await send(gateway, [*fields_of(WHEEL, "foo", "1.0"), ("attestations", json.dumps(given))], token)
    await publish(gateway, SDIST, "foo", "1.0", token)

    shown = (await page(gateway, "foo")).files
    path = f"integrity/foo/1.0/{WHEEL.filename}/provenance"
    found = await get(gateway, path)
    as_json = await get(gateway, path, Accept="application/json")
    refused = await get(gateway, path, Accept="text/html")
    none = await get(gateway, f"integrity/foo/1.0/{SDIST.filename}/provenance")
    wrong = await get(gateway, f"integrity/foo/2.0/{WHEEL.filename}/provenance")

    assert shown[WHEEL.filename]["provenance"] == f"{gateway.url}pypi/acme/tools/{path}"
    assert "provenance" not in shown[SDIST.filename]
    assert found.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    assert as_json.headers["Content-Type"] == "application/json"
    assert found.json["version"] == 1
    assert found.json["attestation_bundles"][0]["attestations"] == given
    assert refused.status == 406
    assert (none.status, wrong.status) == (404, 404)
    assert "message" in none.json


FOREIGN = [
    json.dumps([attestation(SDIST)]),
    json.dumps([attestation(WHEEL, predicateType="evil")]),
    json.dumps([attestation(WHEEL, subject=[])]),
    json.dumps([attestation(WHEEL), attestation(WHEEL)]),
    json.dumps([{}]),
    json.dumps([1]),
    "{}",
    "junk",
    "[" * 10_000,
]


async def test_attestations_of_something_else_are_never_shown(start_gateway: StartGateway) -> None:
    careful = public("hosted", settings={"attestations": "refuse"})
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted"), "acme/careful": careful}})
    token = await gateway.token()

    for number, text in enumerate(FOREIGN):
        built = wheel().build("foo", f"{number}.0")
        fields: list[Field] = [*fields_of(built, "foo", f"{number}.0"), ("attestations", text)]
        stored = await send(gateway, fields, token)
        refused = await send(gateway, fields, token, path="/pypi/acme/careful/legacy/")

        assert stored.status == 200
        assert stored.text.startswith("warning: ")
        assert refused.status == 400
        assert "attestations" in refused.reason
    assert not any("provenance" in file for file in (await page(gateway, "foo")).files.values())


async def test_a_signature_is_kept_beside_its_file(gateway: Gateway) -> None:
    signature = b"-----BEGIN PGP SIGNATURE-----\nabc\n-----END PGP SIGNATURE-----\n"
    fields: list[Field] = [("gpg_signature", signature, "x.asc"), *fields_of(WHEEL, "foo", "1.0")]
    await send(gateway, fields, await gateway.token())

    text = (await get(gateway, "simple/foo/")).text
    found = await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}.asc")

    assert 'data-gpg-sig="true"' in text
    assert found.body == signature


async def test_digests_of_every_kind_are_checked_and_kept(gateway: Gateway) -> None:
    token = await gateway.token()
    md5 = hashlib.md5(WHEEL.body).hexdigest()
    sent = await publish(gateway, WHEEL, "foo", "1.0", token, md5_digest=md5.upper())

    (url,) = (await get(gateway, "pypi/foo/json")).json["urls"]

    assert sent.status == 200
    assert url["md5_digest"] == md5
    assert url["digests"]["blake2b_256"] == hashlib.blake2b(WHEEL.body, digest_size=32).hexdigest()


# ── yank, delete, status ─────────────────────────────────────────────────────────────────────────────────────────
async def test_a_yank_shows_in_both_forms_and_can_be_taken_back(gateway: Gateway) -> None:
    token = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", token)
    await publish(gateway, SDIST, "foo", "1.0", token)

    yanked = await ask(gateway, "POST", "manage/Foo/1.0.0/yank", token, json={"reason": "it <b>breaks</b>\nthings"})
    shown, text = (await page(gateway, "foo")).files, (await get(gateway, "simple/foo/")).text
    api = (await get(gateway, "pypi/foo/1.0/json")).json["info"]
    back = await ask(gateway, "POST", "manage/foo/1.0/unyank", token)
    after = (await page(gateway, "foo")).files

    assert (yanked.status, back.status) == (200, 200)
    assert {file["yanked"] for file in shown.values()} == {"it <b>breaks</b> things"}
    assert text.count('data-yanked="it &lt;b&gt;breaks&lt;/b&gt; things"') == 2
    assert (api["yanked"], api["yanked_reason"]) == (True, "it <b>breaks</b> things")
    assert {file["yanked"] for file in after.values()} == {False}
    assert (await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}")).status == 200


async def test_deleted_files_are_gone_their_names_are_not_used_again_and_the_name_stays_ours(
    start_gateway: StartGateway,
) -> None:
    async with FaultyUpstream() as fake:
        (evil,) = fake.pypi("foo", {"99.0": wheel()})
        gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config()})
        token = await gateway.token()
        await publish(gateway, WHEEL, "foo", "1.0", token)
        await publish(gateway, SDIST, "foo", "1.0", token)
        fake.forget()

        one = await ask(gateway, "DELETE", f"manage/foo/1.0/{SDIST.filename}", token)
        left = (await page(gateway, "foo")).files
        rest = await ask(gateway, "DELETE", "manage/foo/1.0", token)
        empty = await page(gateway, "foo")
        again = await publish(gateway, WHEEL, "foo", "1.0", token)

        assert (one.status, rest.status) == (200, 200)
        assert list(left) == [WHEEL.filename]
        assert empty.json["files"] == []
        for artifact in (WHEEL, SDIST, evil):
            assert (await get(gateway, f"files/foo/{artifact.sha256}/{artifact.filename}")).status == 404
            assert (await get(gateway, f"files/foo/-/{artifact.filename}.metadata")).status == 404
        assert again.status == 403
        assert fake.count() == 0


async def test_several_versions_may_be_yanked_at_once(gateway: Gateway) -> None:
    token, versions = await gateway.token(), [f"{n}.0" for n in range(6)]
    for version in versions:
        await send(gateway, fields_of(wheel().build("foo", version), "foo", version), token)

    done = await asyncio.gather(*(ask(gateway, "POST", f"manage/foo/{version}/yank", token) for version in versions))

    assert [reply.status for reply in done] == [200] * 6
    assert all(file["yanked"] for file in (await page(gateway, "foo")).files.values())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "manage/foo/1.0/yank"), ("DELETE", "manage/foo/1.0"), ("DELETE", f"manage/foo/1.0/{WHEEL.filename}")],
)
async def test_yank_and_delete_need_a_scope_of_their_own(gateway: Gateway, method: str, path: str) -> None:
    await publish(gateway, WHEEL, "foo", "1.0", await gateway.token())
    writer = await gateway.token(scopes=(Scope.READ, Scope.WRITE))

    refused, nobody = await ask(gateway, method, path, writer), await ask(gateway, method, path)

    assert (refused.status, nobody.status) == (403, 401)
    assert (await page(gateway, "foo")).files[WHEEL.filename]["yanked"] is False


async def test_what_is_not_there_cannot_be_managed(gateway: Gateway) -> None:
    token = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", token)

    for method, path in [
        ("POST", "manage/bar/1.0/yank"),
        ("POST", "manage/foo/2.0/yank"),
        ("DELETE", "manage/foo/2.0"),
        ("DELETE", "manage/foo/1.0/other.whl"),
        ("PUT", "manage/b%20r/status"),
    ]:
        assert (await ask(gateway, method, path, token, json={"status": "active"})).status == 404, path
    for body in (b"junk", b"[]", b'{"status": "haunted"}'):
        assert (await ask(gateway, "PUT", "manage/foo/status", token, data=body)).status == 400


async def test_an_archived_package_serves_its_files_and_takes_no_more(gateway: Gateway) -> None:
    token = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", token)

    changed = await ask(gateway, "PUT", "manage/foo/status", token, json={"status": "archived", "reason": "done"})
    refused = await publish(gateway, SDIST, "foo", "1.0", token)
    shown = await page(gateway, "foo")

    assert changed.status == 200
    assert (refused.status, "archived" in refused.reason) == (403, True)
    assert shown.json["project-status"] == {"status": "archived", "reason": "done"}
    assert (await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}")).status == 200


async def test_a_quarantined_package_is_200_without_files_and_its_bytes_are_refused(gateway: Gateway) -> None:
    admin = await gateway.token(scopes=(Scope.ADMIN,))
    writer = await gateway.token()
    await publish(gateway, WHEEL, "foo", "1.0", writer)
    await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}")
    order = {"status": "quarantined", "reason": "malware"}

    not_yours = await ask(gateway, "PUT", "manage/foo/status", writer, json=order)
    changed = await ask(gateway, "PUT", "manage/foo/status", admin, json=order)
    shown, text = await page(gateway, "foo"), await get(gateway, "simple/foo/")
    refused = await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}")
    sidecar = await get(gateway, f"files/foo/{WHEEL.sha256}/{WHEEL.filename}.metadata")
    upload = await publish(gateway, SDIST, "foo", "1.0", writer)
    lifted = await ask(gateway, "PUT", "manage/foo/status", writer, json={"status": "active"})

    assert (not_yours.status, changed.status) == (403, 200)
    assert (shown.status, shown.json["files"]) == (200, [])
    assert shown.json["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert 'content="quarantined"' in text.text
    assert (refused.status, refused.headers["Content-Type"]) == (403, "application/problem+json")
    assert "malware" in refused.reason
    assert sidecar.status == 403
    assert upload.status == 403
    assert lifted.status == 403
    assert (await get(gateway, "pypi/foo/json")).status == 404


async def test_a_merged_name_shows_both_and_the_hosted_version_wins(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        fake.pypi("foo", {"1.0": [wheel(description="theirs"), sdist()], "2.0": wheel()})
        gateway = await start_gateway(
            {"pypi": {"acme/tools": public("hosted", "fake", merge=("foo",))}}, {"fake": fake.config()}
        )
        await publish(gateway, WHEEL, "foo", "1.0", await gateway.token())

        shown = await page(gateway, "foo")

        assert shown.json["versions"] == ["1.0", "2.0"]
        assert shown.files[WHEEL.filename]["hashes"] == {"sha256": WHEEL.sha256}
        assert SDIST.filename not in shown.files
        assert shown.headers["Cache-Control"] == "no-cache"
        assert "_last-serial" not in shown.json["meta"]


# ── strict ───────────────────────────────────────────────────────────────────────────────────────────────────────
MODERN = {"Metadata-Version": "2.4"}


SLOPPY = [
    (wheel().build("foo", "1.0+local"), "1.0+local", "local"),
    (wheel(tag="cp311-cp311-linux_x86_64").build("foo", "1.0"), "1.0", "platform"),
    (Artifact("Foo-1.0-py3-none-any.whl", WHEEL.body), "1.0", "filename"),
    (Artifact("foo-1.0.zip", zip_of({"foo-1.0/PKG-INFO": SDIST.metadata or b""})), "1.0", "filename"),
    (wheel(requires_dist=("evil @ https://evil.example/x.whl",)).build("foo", "1.0"), "1.0", "requires_dist"),
    (wheel(requires_dist=("not a requirement",)).build("foo", "1.0"), "1.0", "requires_dist"),
    (wheel(requires_python="abc").build("foo", "1.0"), "1.0", "requires_python"),
    (wheel(metadata={"Summary": "x" * 600}).build("foo", "1.0"), "1.0", "summary"),
    (wheel(metadata={"Author-email": "nobody"}).build("foo", "1.0"), "1.0", "author_email"),
    (wheel(metadata={"Home-page": "javascript:alert(1)"}).build("foo", "1.0"), "1.0", "home_page"),
    (wheel(metadata={"Project-URL": "Home"}).build("foo", "1.0"), "1.0", "project_urls"),
    (wheel(metadata={"Classifier": "Private :: Do Not Upload"}).build("foo", "1.0"), "1.0", "classifiers"),
    (
        wheel(metadata={**MODERN, "License": "MIT", "License-Expression": "MIT"}).build("foo", "1.0"),
        "1.0",
        "license",
    ),
    (wheel(metadata={**MODERN, "License-File": "LICENSE"}).build("foo", "1.0"), "1.0", "license_file"),
    (wheel(metadata={"Description-Content-Type": "x/y"}).build("foo", "1.0"), "1.0", "description_content_type"),
    (wheel(files={"foo-1.0.dist-info/entry_points.txt": b"[x]\nrm -rf\n"}).build("foo", "1.0"), "1.0", "entry"),
]


async def test_a_strict_repository_refuses_what_pypi_refuses_and_others_do_not(start_gateway: StartGateway) -> None:
    settings = [public("hosted", settings={"strict": True}), *(public("hosted") for _ in SLOPPY)]
    gateway = await start_gateway({"pypi": {f"acme/r{number}": made for number, made in enumerate(settings)}})
    token = await gateway.token()

    for number, (artifact, version, word) in enumerate(SLOPPY, 1):
        fields = fields_of(artifact, "foo", version)
        refused = await send(gateway, fields, token, path="/pypi/acme/r0/legacy/")
        accepted = await send(gateway, fields, token, path=f"/pypi/acme/r{number}/legacy/")

        assert refused.status == 400, word
        assert word in refused.reason
        assert accepted.status == 200, accepted.text


async def test_a_strict_repository_takes_what_is_well_made(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted", settings={"strict": True})}})
    token = await gateway.token()
    made = wheel(
        tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        metadata={
            **MODERN,
            "Author-email": '"Ada" <ada@example.org>, b@example.org',
            "Project-URL": "Home, https://example.org/",
            "License-Expression": "MIT",
            "License-File": "LICENSE",
            "Description-Content-Type": "text/markdown; charset=UTF-8",
        },
        files={
            "foo-1.0.dist-info/licenses/LICENSE": b"MIT",
            "foo-1.0.dist-info/entry_points.txt": b"[console_scripts]\nfoo = foo:main [extra]\n",
        },
        description="# Read *me*\n",
    ).build("foo", "1.0")

    first = await publish(gateway, made, "foo", "1.0", token)
    second = await publish(gateway, SDIST, "foo", "1.0", token)

    assert first.status == 200, first.text
    assert second.status == 200, second.text
    assert (
        Digest.of(made.metadata or b"").hex
        == (await page(gateway, "foo")).files[made.filename]["core-metadata"]["sha256"]
    )


async def test_a_digest_that_comes_after_the_file_is_checked_all_the_same(gateway: Gateway) -> None:
    token = await gateway.token()
    fields = content_first(fields_of(WHEEL, "foo", "1.0", blake2_256_digest="0" * 64))

    refused = await send(gateway, fields, token)

    assert refused.status == 400
    assert b"blake2_256_digest" in refused.body
    assert (await get(gateway, "simple/foo/")).status == 404
