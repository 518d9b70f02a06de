"""The flow a sale follows: its nodes, their titles, and what must be said in them.

A flow is given when a session is made, written to ``flow.json`` beside the event log as canonical
JSON, and entered into the log by its digests (``flow.given``): so it is sealed with the session
and can't be exchanged later.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.durable import sync_directory
from recorder.errors import CanonicalError, FlowError
from recorder.regular import read_regular

__all__ = ["FLOW_FILE", "MAX_NODES", "Flow", "Node", "parse_flow", "read_flow", "write_flow"]

FLOW_FILE: Final = "flow.json"
MAX_NODES: Final = 128

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Words = Annotated[str, Field(min_length=1, max_length=500)]
Phrase = Annotated[str, Field(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Text(_Strict):
    """A text in Chinese, in English, or in both."""

    zh: Words | None = None
    en: Words | None = None

    @model_validator(mode="after")
    def _said(self) -> Self:
        if self.zh is None and self.en is None:
            raise ValueError("give zh, en or both")
        return self

    def to_json(self) -> dict[str, str]:
        """Only the languages there are."""
        return {key: value for key, value in (("zh", self.zh), ("en", self.en)) if value}


class Answer(_Strict):
    """The answer a node waits for."""

    speaker: Code
    lexicon: Annotated[list[Phrase], Field(min_length=1, max_length=64)]
    window_s: Annotated[int, Field(ge=1, le=600)] = 10
    retries: Annotated[int, Field(ge=0, le=10)] = 1


class Visual(_Strict):
    """What the picture has to show during a node."""

    same_frame: bool = False
    document_legible: bool = False


class Node(_Strict):
    """One step of the sale.

    Attributes:
        code: what commands name it by.
        critical: a fault here can't be made good by recording this node again alone.
        required_statements: what has to be said.
        prohibited_phrases: what must not be.
        min_duration_s: a shorter attempt is a fault.
    """

    code: Code
    title: Text
    kind: Literal[
        "consent", "seller_identity", "customer_identity", "statement", "question", "document",
        "signature", "copying", "custom",
    ] = "custom"  # fmt: skip
    critical: bool = False
    required_statements: Annotated[list[Text], Field(max_length=32)] = []
    prohibited_phrases: Annotated[list[Phrase], Field(max_length=64)] = []
    answer: Answer | None = None
    visual: Visual | None = None
    re_record_allowed: bool = True
    min_duration_s: Annotated[int, Field(ge=0, le=86_400)] = 0


class Flow(_Strict):
    """Nodes in the order in which they are meant to be recorded."""

    id: Code
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
    nodes: Annotated[list[Node], Field(min_length=1, max_length=MAX_NODES)]

    @model_validator(mode="after")
    def _once(self) -> Self:
        codes = [node.code for node in self.nodes]
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueError(f"node {twice[0]} is there twice")
        return self

    def to_json(self) -> dict[str, Any]:
        """As ``flow.json`` has it: what was not given is left out."""
        return self.model_dump(exclude_none=True)

    def given(self) -> dict[str, Any]:
        """Payload of ``flow.given``."""
        return {
            "flow": self.id,
            "version": self.version,
            "file": FLOW_FILE,
            "nodes": [node.code for node in self.nodes],
            "final": [node.code for node in self.nodes if not node.re_record_allowed],
            **digests_of(canonical(self.to_json())).to_json(),
        }


def parse_flow(value: object) -> Flow:
    """Reads a flow that somebody sent.

    Raises:
        FlowError: it is none; the text says which field is wrong and why.
    """
    try:
        flow = Flow.model_validate(value)
        canonical(flow.to_json())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(["flow", *(str(part) for part in first["loc"])])
        raise FlowError("{where}: {reason}", where=where, reason=first["msg"]) from None
    except CanonicalError as error:
        raise FlowError("{where}: {reason}", where="flow", reason=error) from None
    return flow


def write_flow(place: Path, flow: Flow) -> None:
    """Writes ``flow.json`` into the directory of a new session, synced.

    Raises:
        OSError: the disk refused.
    """
    with (place / FLOW_FILE).open("xb") as file:
        file.write(canonical(flow.to_json()))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(place)


def read_flow(place: Path) -> Flow | None:
    """The flow of a session's directory; ``None`` where none was given.

    Raises:
        FlowError: the file holds no flow.
        OSError: it can't be read.
    """
    try:
        data = read_regular(place / FLOW_FILE)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise FlowError("{path} is no JSON", path=place / FLOW_FILE) from None
    return parse_flow(value)
