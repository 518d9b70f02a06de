"""Logs hold identifiers and steps, never what people are called, say, or connect from."""

import logging

import pytest

from sfu import Role, Source
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import Scene, resume_token

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def scenario(scene: Scene) -> list[str]:
    """A whole call; returns what must not be logged."""
    secrets = ["王芳", "李明", "请出示您的身份证", "a=fingerprint", "a=ice-pwd", "192.0.2.7"]
    rm = scene.join(name="李明")
    customer = scene.join("customer-1", Role.CUSTOMER, name="王芳")
    track = scene.publish(customer, Source.MICROPHONE, Source.CAMERA)["microphone"]
    scene.publish(rm, Source.MICROPHONE, receive=["audio", "video"])
    scene.media(scene.transports()[0], "connecting")
    scene.media(scene.transports()[0], "connected")
    rm.ask("message", text="请出示您的身份证")
    question = rm.ask("mute.request", track_id=track)["data"]["request_id"]
    customer.ask("mute.answer", request_id=question, accept=True)
    customer.ask("offer", sdp=offer_sdp([("audio", "sendonly")])[:-40] + "192.0.2.7", tracks=[])
    customer.send({"type": "message", "id": "b-1", "data": {"text": ["请出示您的身份证"]}})
    secrets += [resume_token(rm), resume_token(customer)]
    scene.media(scene.transports()[0], "disconnected", "consent_expired")
    customer.lose()
    scene.run(6.0)
    customer = scene.resume(customer, last_seq=None)
    secrets.append(resume_token(customer))
    stranger = scene.connect()
    token = scene.token("customer-1", name="王芳")[:-3] + "AAA"
    stranger.ask("join", token=token)
    secrets += [token, scene.token("customer-1", name="王芳")]
    scene.join("customer-1", Role.CUSTOMER, name="王芳")
    scene.hub.drain(10.0, scene.now)
    scene.run(11.0)
    return secrets


def test_no_personal_data_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene = Scene()
    secrets = scenario(scene)
    assert scene.hub.is_idle
    text = "\n".join(
        record.getMessage()
        + repr({k: v for k, v in vars(record).items() if k not in STANDARD and k[:4] != "pii."})
        + (record.exc_text or "")
        for record in caplog.records
    )
    for secret in secrets:
        assert secret not in text
    steps = [
        record.getMessage() for record in caplog.records if record.name.startswith("signaling")
    ]
    assert {
        "socket lost", "participant resumed", "participant taken over", "hello refused",
        "reach changed", "track published", "track unpublished", "draining",
    } <= set(steps)  # fmt: skip
    for record in caplog.records:
        assert record.getMessage() == record.getMessage().lower()
