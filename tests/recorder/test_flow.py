import json
from pathlib import Path
from typing import Any

import pytest

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.errors import FlowError
from recorder.flow import MAX_NODES, parse_flow, read_flow, write_flow

NODE: dict[str, Any] = {"code": "risk", "title": {"zh": "风险揭示", "en": "Risk disclosure"}}
FLOW: dict[str, Any] = {"id": "fund-sale", "version": "3", "nodes": [NODE]}


def node(**changed: Any) -> dict[str, Any]:
    return {**FLOW, "nodes": [NODE | changed]}


def test_a_flow_is_written_as_its_digests_say_and_read_again(tmp_path: Path) -> None:
    answer = {"speaker": "customer", "lexicon": ["同意"], "window_s": 5, "retries": 2}
    flow = parse_flow(node(answer=answer, required_statements=[{"zh": "请注意风险"}]))
    write_flow(tmp_path, flow)
    data = (tmp_path / "flow.json").read_bytes()
    given = flow.given()
    assert digests_of(data).to_json() == {"sha256": given["sha256"], "sm3": given["sm3"]}
    assert data == canonical(json.loads(data))
    assert read_flow(tmp_path) == flow
    assert (given["nodes"], given["final"]) == (["risk"], [])
    with pytest.raises(FileExistsError):
        write_flow(tmp_path, flow)


WRONG: list[tuple[object, str]] = [
    (None, "flow"),
    ([], "flow"),
    ({}, "flow.id"),
    (FLOW | {"owner": "x"}, "flow.owner"),
    (FLOW | {"version": 3}, "flow.version"),
    (FLOW | {"nodes": []}, "flow.nodes"),
    (FLOW | {"nodes": [NODE, NODE]}, "node risk is there twice"),
    (FLOW | {"nodes": [NODE | {"code": f"n{i}"} for i in range(MAX_NODES + 1)]}, "flow.nodes"),
    (node(code="../x"), "flow.nodes.0.code"),
    (node(code=""), "flow.nodes.0.code"),
    (node(title={}), "flow.nodes.0.title"),
    (node(title="风险"), "flow.nodes.0.title"),
    (node(title={"zh": "x" * 501}), "flow.nodes.0.title.zh"),
    (node(title={"zh": "\ud800"}), "flow"),
    (node(kind="dance"), "flow.nodes.0.kind"),
    (node(critical="yes"), "flow.nodes.0.critical"),
    (node(min_duration_s=-1), "flow.nodes.0.min_duration_s"),
    (node(min_duration_s=1.5), "flow.nodes.0.min_duration_s"),
    (node(required_statements=[{"zh": "x"}] * 33), "flow.nodes.0.required_statements"),
    (node(prohibited_phrases=[""]), "flow.nodes.0.prohibited_phrases.0"),
    (node(answer={"speaker": "customer", "lexicon": []}), "flow.nodes.0.answer.lexicon"),
    (node(visual={"same_frame": 1}), "flow.nodes.0.visual.same_frame"),
]


@pytest.mark.parametrize(("value", "where"), WRONG)
def test_what_is_wrong_with_a_flow_is_named(value: object, where: str) -> None:
    with pytest.raises(FlowError, match=where):
        parse_flow(value)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"\xff", b"[]"])
def test_a_file_that_holds_no_flow_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "flow.json").write_bytes(data)
    with pytest.raises(FlowError):
        read_flow(tmp_path)


def test_without_a_file_there_is_no_flow(tmp_path: Path) -> None:
    assert read_flow(tmp_path) is None
