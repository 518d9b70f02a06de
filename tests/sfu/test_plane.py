"""The port to an engine: full queues, dead engines, and the fake's likeness to the real one."""

import ast
import inspect
from pathlib import Path

import pytest

import sfu
from sfu.engine import EngineLike
from sfu.errors import EngineUnavailableError
from sfu.events import EventDispatch
from sfu.plane import EnginePort
from tests.fakes.engine import Event, FakeEngine
from tests.sfu.conftest import Scene

STUB = ast.parse((Path(sfu.__file__).parent / "_media.pyi").read_text())


def _class(name: str) -> ast.ClassDef:
    return next(i for i in STUB.body if isinstance(i, ast.ClassDef) and i.name == name)


def _signatures(tree: ast.ClassDef) -> dict[str, list[str]]:
    return {
        item.name: [argument.arg for argument in item.args.kwonlyargs]
        for item in tree.body
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
    }


@pytest.mark.parametrize("other", [FakeEngine, EngineLike])
def test_engines_have_the_signatures_of_the_stub(other: type) -> None:
    stub = _signatures(_class("Engine"))
    for name, keywords in stub.items():
        member = inspect.getattr_static(other, name, None)
        if member is None or isinstance(member, property):
            assert member is not None or other is EngineLike
            continue
        parameters = inspect.signature(member).parameters.values()
        assert [i.name for i in parameters if i.kind is i.KEYWORD_ONLY] == keywords, name


def test_all_events_of_the_stub_are_understood_and_faked(scene: Scene) -> None:
    stub = {item.name for item in _class("Event").body if isinstance(item, ast.ClassDef)}
    assert EventDispatch(scene.sfu._registry).event_names == stub
    assert {name for name in vars(Event) if not name.startswith("_")} == stub


def test_unknown_events_are_passed_over(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.emit(object())
    assert "unknown event" in caplog.text


def test_commands_wait_in_order_while_the_queue_is_full(scene: Scene) -> None:
    a = scene.join("a")
    scene.engine.take()
    scene.engine.busy = True
    assert scene.call(a).published
    assert not scene.engine.commands
    (view,) = scene.sfu.snapshot().engines
    assert (view.backlog, view.deferred) == (4, 4)
    scene.engine.busy = False
    scene.emit()
    assert scene.engine.names() == [
        "create_transport",
        "set_extensions",
        "add_producer",
        "add_producer",
    ]
    assert scene.sfu.snapshot().engines[0].backlog == 0


def test_an_engine_that_takes_nothing_for_long_counts_as_failed() -> None:
    engine = FakeEngine()
    port = EnginePort(engine, 0, max_backlog=3)
    engine.busy = True
    for room in range(4):
        port.create_room(room)
    assert port.failed
    assert port.backlog == 0


def test_a_closed_engine_fails_its_rooms_at_the_next_look(scene: Scene) -> None:
    a = scene.join("a")
    scene.engine.closed = True
    scene.call(a)
    scene.sfu.snapshot()
    assert not scene.sfu.rooms
    assert [reason for _, reason in scene.listener.of("room_closed")] == ["engine_failed"]


def test_a_malformed_command_is_an_error_without_the_text_of_the_plane() -> None:
    engine = FakeEngine()
    engine.refuse = {"create_room"}
    port = EnginePort(engine, 0)
    with pytest.raises(EngineUnavailableError) as caught:
        port.create_room(1)
    assert caught.value.__cause__ is None
    assert port.counters.refused == 1


def test_snapshots_are_read_at_most_every_half_second(scene: Scene) -> None:
    port = scene.room.port
    first = port.statistics()
    scene.now_s += 0.4
    assert port.statistics() is first
    scene.now_s += 0.2
    assert port.statistics() is not first
