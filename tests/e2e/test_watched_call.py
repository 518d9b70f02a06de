"""A watched call in real browsers: who is asked, who is told, and who isn't."""

from pathlib import Path

import pytest

from analytics.link import Found
from analytics.registry import the_registry
from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from recorder.config import RecordedRooms, RecordingConfig
from recorder.log import read_events
from recorder.session_file import read_session
from tests.e2e.scene import settings, until
from tests.e2e.stage import stage
from witness.config import ConsentsConfig
from witness.server import WitnessServer
from witness.watching import Watching

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ASK = ("face", "voice")


def finding(session_id: str, participant_id: str, *, is_open: bool) -> Found:
    return Found(
        finding_id="f-1",
        session_id=session_id,
        detector="face_presence",
        detector_version="1",
        kind="face_absent",
        outcome="warn",
        start_us=1_000,
        end_us=2_000,
        participant_id=participant_id,
        is_open=is_open,
    )


async def test_people_are_asked_and_only_the_rm_is_told(chromium: Browser, tmp_path: Path) -> None:
    recording = RecordingConfig(
        directory=tmp_path / "r", rooms=RecordedRooms.ALL, segment_seconds=1, buffer_mib=4
    )
    configured = settings(recording=recording, consents=ConsentsConfig(ask=ASK))
    (tmp_path / "r").mkdir()
    async with stage(chromium, configured) as made:
        customer, rm = await made.join("customer"), await made.join("rm")
        server = made.call.server
        assert isinstance(server, WitnessServer)
        watching = server.watching
        assert watching is not None
        # As if the host ran: what it finds comes from the test.
        card = the_registry().find("face_presence").card
        watching.findings.cards["face_presence"] = card
        (absent,) = [kind.title.en for kind in card.kinds if kind.kind == "face_absent"]
        who = (await customer.measure()).self_id
        session_id = await begun(watching, tmp_path / "r")
        await customer.shows(".dialog-consents")
        await customer.click(".dialog-consents .primary")
        await customer.hides(".dialog-consents")
        await agreed(watching, session_id, who, set(ASK))
        # What he withdraws is withdrawn at once.
        await customer.click(".pill-consents")
        await customer.shows(".dialog-consents")
        await customer.click("#consent-voice")
        await agreed(watching, session_id, who, {"face"})
        await customer.click(".dialog-consents .secondary")
        await rm.click(".dialog-consents .secondary")
        watching.findings.found(finding(session_id, who, is_open=True))
        await rm.shows(".hint-item[data-state=open]", absent)
        assert not await hinted(customer)
        await rm.click(".hint-item .link")
        await rm.hides(".hint-item .link")
        watching.findings.found(finding(session_id, who, is_open=False))
        await rm.shows(".hint-item[data-state=over]")
        assert not await hinted(customer)
    place = tmp_path / "r" / session_id
    kinds = [event.type for event in read_events(place, read_session(place))]
    assert kinds.count("consent.given") == 2
    assert kinds.count("consent.withdrawn") == 1
    assert kinds.count("finding") == 2
    assert kinds.count("finding.acknowledged") == 1


async def hinted(page: CallPage) -> bool:
    heard = await page.events("finding")
    return bool(heard) or await page.visible(".hint-item")


async def begun(watching: Watching, directory: Path) -> str:
    def names() -> list[str]:
        return [path.parent.name for path in directory.glob("*/session.json")]

    await until(lambda: any(map(watching.findings.is_known, names())), "session")
    return names()[0]


async def agreed(watching: Watching, session_id: str, who: str, what: set[str]) -> None:
    def held() -> bool:
        return watching.consents.permissions_of(session_id, who) - {"picture"} == what

    await until(held, f"consent to {what}")
