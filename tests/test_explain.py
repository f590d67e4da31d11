"""Why an answer is what it is: the same story as a read, in every ecosystem, and on the command line."""

import asyncio

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import Invalid, RepositoryUnknown
from gateway.explain import Explanation, explain
from tests.conftest import Gateway, StartGateway, key, public
from tests.ecosystems import ECOSYSTEMS, PYPI, Ecosystem
from tests.fakes.faults import down
from tests.fakes.upstream import FaultyUpstream

of_each = pytest.mark.parametrize("eco", ECOSYSTEMS, ids=lambda eco: eco.type)


async def told(gateway: Gateway, eco: Ecosystem, package: str) -> Explanation:
    return await explain(gateway.services, key(f"{eco.type}/acme/tools"), package)


def verdicts(story: Explanation) -> list[str]:
    return [step.verdict for step in story.steps]


@of_each
async def test_a_name_of_ours_is_explained_without_a_word_to_the_upstream(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )
        published, _ = await eco.publish(gateway, "acme-tool", "1.0.0", await gateway.token())
        assert published.status in {200, 201}, await published.text()
        fake.forget()
        eco.serve(fake, "acme-tool", {"99.0.0": eco.recipe()})

        story = await told(gateway, eco, "acme-tool")
        spelled = [await told(gateway, eco, spelling) for spelling in eco.spellings]

        assert story.versions_seen == ("1.0.0",)
        assert verdicts(story) == ["answers", "not asked"]
        assert {(one.owner_mode, one.steps[-1].verdict) for one in spelled} == {("hosted", "not asked")}
        assert fake.count() == 0


@of_each
async def test_versions_of_an_upstream_are_in_the_order_of_their_numbers(
    start_gateway: StartGateway, eco: Ecosystem
) -> None:
    async with FaultyUpstream() as fake:
        eco.serve(fake, "left-pad", {version: eco.recipe() for version in ("10.0.0", "2.10.0", "2.9.0")})
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )

        story = await told(gateway, eco, "left-pad")

        assert story.versions_seen == ("2.9.0", "2.10.0", "10.0.0")
        assert verdicts(story)[-1] == "answers"
        assert "fresh for" in story.steps[-1].detail


@of_each
async def test_trouble_is_told_apart_from_a_name_that_is_not_there(start_gateway: StartGateway, eco: Ecosystem) -> None:
    async with FaultyUpstream() as fake:
        gateway = await start_gateway(
            {eco.type: {"acme/tools": public("hosted", "fake")}}, {"fake": fake.config(eco.type)}
        )

        eco.serve(fake, "left-pad", {"1.0.0": eco.recipe()})
        absent = await told(gateway, eco, "nowhere")
        fake.fault(down())
        trouble = await told(gateway, eco, "elsewhere")

        assert verdicts(absent) == ["not asked", "absent"]
        assert verdicts(trouble) == ["not asked", "trouble"]
        assert "fake" in trouble.steps[-1].detail
        assert (absent.freshness, trouble.freshness, trouble.versions_seen) == ("", "", ())


async def test_where_names_are_merged_the_hosted_version_wins_and_is_said_to(start_gateway: StartGateway) -> None:
    async with FaultyUpstream() as fake:
        PYPI.serve(fake, "acme-tool", {"1.0.0": PYPI.recipe(), "2.0.0": PYPI.recipe()})
        gateway = await start_gateway(
            {"pypi": {"acme/tools": public("hosted", "fake", merge=("acme-tool",))}}, {"fake": fake.config("pypi")}
        )
        await PYPI.publish(gateway, "acme-tool", "1.0.0", await gateway.token())

        story = await told(gateway, PYPI, "acme-tool")

        assert verdicts(story) == ["answers", "answers"]
        assert story.versions_seen == ("1.0.0", "2.0.0")
        assert story.versions_hidden == {"1.0.0 from fake": "the hosted version wins"}


async def test_a_deleted_version_is_said_to_be_hidden_for_good(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})
    token = await gateway.token()
    await PYPI.publish(gateway, "acme-tool", "1.0.0", token)
    await PYPI.withdraw(gateway, "acme-tool", "1.0.0", token)

    story = await told(gateway, PYPI, "acme-tool")

    assert "1.0.0" in story.versions_hidden
    assert "never used again" in story.versions_hidden["1.0.0"]


async def test_what_cannot_be_asked_is_said_so(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})

    with pytest.raises(RepositoryUnknown):
        await explain(gateway.services, key("pypi/acme/none"), "left-pad")
    with pytest.raises(Invalid):
        await explain(gateway.services, key("pypi/acme/tools"), "not a name")


async def test_the_command_line_tells_it_in_lines(start_gateway: StartGateway) -> None:
    gateway = await start_gateway({"pypi": {"acme/tools": public("hosted")}})
    await PYPI.publish(gateway, "acme-tool", "1.0.0", await gateway.token())

    data = str(gateway.services.config.data)
    said = await asyncio.to_thread(
        CliRunner().invoke, app, ["explain", "pypi", "acme/tools", "Acme.Tool", "--data", data]
    )

    assert said.exit_code == 0, said.output
    assert "package: acme-tool\n" in said.output
    assert "versions seen: 1.0.0\n" in said.output
    assert "acme/tools: hosted\thosted\tanswers\t1 versions in 1 files" in said.output
