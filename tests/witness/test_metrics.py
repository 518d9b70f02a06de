import json
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sfu import Kind, Lines, MediaState, Quality, Role, Score, Source
from sfu._media import DROP_REASONS, FORWARD_DELAY_BOUNDS_S, STAGES
from sfu.snapshot import EngineView, ParticipantView, RoomView, SfuSnapshot, TrackView
from signaling.stats import Stats
from witness.debug import describe
from witness.metrics import Metrics

BUCKETS = list(range(1, len(FORWARD_DELAY_BOUNDS_S) + 2))

DOMAIN_NAMES = {
    "witness_rooms",
    "witness_participants",
    "witness_forward_latency_seconds",
    "witness_rtp_packets",
    "witness_rtp_lost",
    "witness_nack",
    "witness_pli",
}


def stage(scale: int, *, lost: bool) -> SimpleNamespace:
    return SimpleNamespace(
        entered=9 * scale,
        passed=5 * scale,
        waiting=scale,
        dropped={DROP_REASONS[1]: 3 * scale},
        unaccounted=-scale if lost else 0,
    )


def capture(scale: int) -> Any:
    causes = dict.fromkeys(("network", "disk_full", "crash"), scale)
    return SimpleNamespace(
        packets=10 * scale,
        bytes=1_000 * scale,
        dropped=scale,
        written_packets=9 * scale,
        written_bytes=2_000 * scale,
        segments=scale,
        failures=causes,
        gaps=causes,
        missing=causes,
        lag_s=0.25,
        tracks=4,
        failing=1,
    )


def counters(scale: int = 1) -> SimpleNamespace:
    pairs = ("rtp_packets_in", "rtp_packets_out", "rtp_bytes_in", "rtp_bytes_out", "rtp_lost")
    single = (
        "rtcp_packets_in", "rtcp_packets_out", "nack_sent", "nack_received", "pli_sent",
        "pli_received", "retransmissions_in", "retransmissions_out", "retransmissions_missed",
        "dtls_handshakes", "dtls_failures", "room_panics", "events_dropped", "commands_rejected",
        "fillers_out", "padding_out", "echoes_out", "echoes_missed", "echoes_postponed",
        "losses_untold", "keyframes_repaired",
        "receive_overflows", "red_packets_in", "audio_frames_recovered",
    )  # fmt: skip
    return SimpleNamespace(
        **dict.fromkeys(pairs, (10 * scale, 20 * scale)),
        **dict.fromkeys(single, 5 * scale),
        dropped={DROP_REASONS[0]: 7 * scale},
        stages={name: stage(scale, lost=name == "copy") for name in STAGES},
        unclassified=-scale,
        audio_copies_out=[6 * scale, 0, 3 * scale, *([0] * 15)],
        layer_switches_up={"wish": 3 * scale},
        layer_switches_down={"budget": 2 * scale},
        forward_delay_buckets=[count * scale for count in BUCKETS],
        forward_delay_sum_s=0.5 * scale,
    )


def engine(index: int, *, failed: bool = False, scale: int = 1) -> EngineView:
    transport = SimpleNamespace(
        transport=1,
        state="connected",
        protocol="tcp",
        rtt_s=0.01,
        bytes_in=1,
        bytes_out=2,
        memory_bytes=1000,
        estimate_bps=700_000,
        acked_bps=650_000,
        pacer_queue_ms=12.0,
        send_loss_ratio=0.03,
    )
    tcp = SimpleNamespace(
        connections=2 * scale,
        accepted=3 * scale,
        refused={"total_limit": 4 * scale},
        closed={"remote": scale},
    )
    plane: Any = SimpleNamespace(
        counters=counters(scale),
        rooms=1,
        load=0.25,
        transports=[transport],
        tcp=tcp,
        capture=capture(scale),
    )
    return EngineView(
        index=index, failed=failed, rooms=1, participants=1, commands=9, deferred=2, backlog=1,
        refused=0, commands_failed=0, events_lost=0, snapshot=None if failed else plane,
    )  # fmt: skip


def snapshot(*engines: EngineView) -> SfuSnapshot:
    person = ParticipantView(
        participant_id="rm-1",
        role=Role.RM,
        hidden=False,
        media=MediaState.CONNECTED,
        lines=Lines(1, 1),
        quality=Quality(0.1, None, 0.02, Score.GOOD),
        tracks=[TrackView("t1", Source.MICROPHONE, muted=False, codec="opus")],
        subscriptions=[],
    )
    return SfuSnapshot(
        draining=False,
        engines=engines,
        rooms=[RoomView("sale-1", 0, [person])],
        participants_by_role={role: int(role is Role.RM) for role in Role},
        participants_by_media={state: int(state is MediaState.CONNECTED) for state in MediaState},
        tracks_by_kind={Kind.AUDIO: 1, Kind.VIDEO: 0},
        subscriptions_by_state={"active": 0},
    )


class FakeSfu:
    def __init__(self, *engines: EngineView) -> None:
        self.view = snapshot(*engines)

    def snapshot(self) -> SfuSnapshot:
        return self.view


def scrape(metrics: Metrics) -> dict[str, list[Any]]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {family.name: family.samples for family in families}


def values(samples: list[Any]) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in samples}


@pytest.fixture
def sfu() -> Any:
    return FakeSfu(engine(0), engine(1))


def test_scrape_parses_and_has_the_names_of_the_domain_model(sfu: Any) -> None:
    assert scrape(Metrics(sfu, Stats())).keys() >= DOMAIN_NAMES


def test_totals_are_summed_over_engines(sfu: Any) -> None:
    found = scrape(Metrics(sfu, Stats()))
    assert values(found["witness_rtp_packets"]) == {
        ("in", "audio"): 20, ("in", "video"): 40, ("out", "audio"): 20, ("out", "video"): 40,
    }  # fmt: skip
    assert values(found["witness_nack"])[()] == 20
    assert values(found["sfu_engine_up"]) == {("0",): 1, ("1",): 1}


def test_histogram_is_cumulative_and_counts_everything(sfu: Any) -> None:
    samples = scrape(Metrics(sfu, Stats()))["witness_forward_latency_seconds"]
    buckets = [s.value for s in samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert len(buckets) == len(FORWARD_DELAY_BOUNDS_S) + 1
    assert buckets[-1] == 2 * sum(BUCKETS)
    assert [s.value for s in samples if s.name.endswith("_sum")] == [1.0]


def test_every_drop_reason_is_there_from_the_start(sfu: Any) -> None:
    dropped = values(scrape(Metrics(sfu, Stats()))["sfu_forward_dropped_packets"])
    assert {reason for (reason,) in dropped} == set(DROP_REASONS)
    assert dropped[(DROP_REASONS[0],)] == 14


def test_stages_show_where_packets_went(sfu: Any) -> None:
    found = scrape(Metrics(sfu, Stats()))
    packets = values(found["sfu_stage_packets"])
    assert set(packets) == {(how, name) for name in STAGES for how in ("entered", "passed")}
    assert (packets[("entered", "rtp")], packets[("passed", "rtp")]) == (18, 10)
    assert values(found["sfu_stage_dropped_packets"])[(DROP_REASONS[1], "rtp")] == 6
    assert values(found["sfu_stage_waiting_packets"])[("send",)] == 2


def test_packets_lost_sight_of_on_any_engine_are_told(sfu: Any) -> None:
    unaccounted = values(scrape(Metrics(sfu, Stats()))["sfu_stage_unaccounted_packets"])
    assert {stage for (stage,), count in unaccounted.items() if count} == {"copy", "class"}
    assert unaccounted[("copy",)] == 2


def test_copies_of_audio_are_a_histogram_over_all_engines(sfu: Any) -> None:
    families = scrape(Metrics(sfu, Stats()))
    samples = {
        (item.name, item.labels.get("le")): item.value for item in families["sfu_audio_copies"]
    }
    assert samples[("sfu_audio_copies_bucket", "0")] == 12
    assert samples[("sfu_audio_copies_bucket", "1")] == 12
    assert samples[("sfu_audio_copies_bucket", "2")] == 18
    assert samples[("sfu_audio_copies_bucket", "+Inf")] == 18
    assert samples[("sfu_audio_copies_sum", None)] == 12
    assert values(families["sfu_audio_recovered_frames"]) == {(): 10}


def test_layer_switches_are_shown_by_direction_and_reason(sfu: Any) -> None:
    switches = values(scrape(Metrics(sfu, Stats()))["sfu_consumer_layer_switches"])
    assert switches[("up", "wish")] == 6
    assert switches[("down", "budget")] == 4
    assert len(switches) == 6
    assert sum(switches.values()) == 10


def test_totals_do_not_fall_when_an_engine_fails(sfu: Any) -> None:
    metrics = Metrics(sfu, Stats())
    before = values(scrape(metrics)["witness_rtp_packets"])
    sfu.view = snapshot(engine(0), engine(1, failed=True))
    found = scrape(metrics)
    assert values(found["witness_rtp_packets"]) == before
    assert values(found["sfu_engine_up"]) == {("0",): 1, ("1",): 0}
    assert values(found["sfu_engine_load_ratio"]) == {("0",): 0.25}


def test_no_label_holds_an_identifier(sfu: Any) -> None:
    text = Metrics(sfu, Stats()).render().decode()
    assert "rm-1" not in text
    assert "sale-1" not in text
    assert "t1" not in text


def test_signaling_counts_are_shown(sfu: Any) -> None:
    stats = Stats()
    stats.connections = 3
    stats.errors["forbidden"] += 2
    stats.messages_in["offer"] += 4
    found = scrape(Metrics(sfu, stats))
    assert values(found["sfu_signaling_connections"])[()] == 3
    assert values(found["sfu_signaling_errors"]) == {("forbidden",): 2}
    assert values(found["sfu_signaling_messages_in"]) == {("offer",): 4}


def test_loop_lag_is_a_histogram(sfu: Any) -> None:
    metrics = Metrics(sfu, Stats())
    metrics.observe_loop_lag(0.003)
    counts = {
        sample.labels["le"]: sample.value
        for sample in scrape(metrics)["sfu_event_loop_lag_seconds"]
        if sample.name.endswith("_bucket")
    }
    assert (counts["0.002"], counts["0.005"]) == (0, 1)


def test_administrator_sees_ids_and_states_but_no_names(sfu: Any) -> None:
    member = {
        "participant_id": "rm-1", "role": "rm", "hidden": False, "media": "connected",
        "tracks": ["t1"], "socket": True, "outbox_bytes": 7,
    }  # fmt: skip
    state = describe(sfu.snapshot(), [{"room_id": "sale-1", "participants": [member]}])
    decoded = json.loads(json.dumps(state))
    (participant,) = decoded["rooms"][0]["participants"]
    assert participant["participant_id"] == "rm-1"
    assert participant["signaling"] == {"socket": True, "outbox_bytes": 7}
    assert decoded["engines"][0]["transports"][0]["state"] == "connected"
    assert "name" not in participant


def test_sessions_by_protocol_and_requests_by_class(sfu: Any) -> None:
    stats = Stats()
    stats.http_sessions["whip"] += 2
    stats.http_opened["whip"] += 3
    stats.http_replaced["whep"] += 1
    stats.http_requests["whip", "2xx"] += 5
    stats.http_requests["whep", "4xx"] += 1
    found = scrape(Metrics(sfu, stats))
    assert values(found["sfu_signaling_http_sessions"]) == {("whip",): 2, ("whep",): 0}
    assert values(found["sfu_signaling_http_sessions_opened"]) == {("whip",): 3, ("whep",): 0}
    assert values(found["sfu_signaling_http_sessions_replaced"]) == {("whip",): 0, ("whep",): 1}
    requests = values(found["sfu_signaling_http_requests"])
    assert requests == {("whip", "2xx"): 5, ("whep", "4xx"): 1}


def test_what_is_recorded_is_summed_over_engines() -> None:
    samples = scrape(Metrics(FakeSfu(engine(0), engine(1, scale=2)), Stats()))
    values = {
        (sample.name, sample.labels.get("cause")): sample.value
        for name, found in samples.items()
        if name.startswith("witness_capture")
        for sample in found
    }
    assert values["witness_capture_packets_total", None] == 30
    assert values["witness_capture_dropped_packets_total", None] == 3
    assert values["witness_capture_gaps_total", "disk_full"] == 3
    assert values["witness_capture_missing_packets_total", "crash"] == 3
    assert values["witness_capture_failing_tracks", None] == 2
    assert values["witness_capture_lag_seconds", None] == 0.25
