"""The published JSON Schema of all messages, and how it is made.

``python -m signaling.schema`` writes ``v1.json`` again; with ``--check`` it only says whether the
file is up to date.
"""

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from signaling import messages, notices
from signaling.notices import Delivery, ServerData

__all__ = ["SCHEMA_PATH", "build_schema", "schema_text"]

SCHEMA_PATH: Final = Path(__file__).with_name("v1.json")

CLIENT: Final[tuple[type[BaseModel], ...]] = (
    messages.Join, messages.Resume, messages.OfferMessage, messages.Subscribe,
    messages.Unsubscribe, messages.Mute, messages.MuteRequest, messages.MuteAnswer,
    messages.TextMessage, messages.QualityReport, messages.LayersWant, messages.LayersFirst,
    messages.DeviceKey, messages.DigestBatch, messages.ConsentGive, messages.ConsentWithdraw,
    messages.FindingAcknowledge, messages.Leave, messages.Ack, messages.Ping,
)  # fmt: skip

_RE: Final = {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$"}
_SEQ: Final = {"type": "integer", "minimum": 1}


def build_schema() -> dict[str, Any]:
    """JSON Schema 2020-12: ``#/$defs/ClientMessage`` and ``#/$defs/ServerMessage``."""
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(m, "validation") for m in CLIENT]
    # Optional fields that are left out, not null, are described by the validation mode.
    modes += [(m, "validation" if m.omit_none else "serialization") for m in notices.ALL]
    references, definitions = models_json_schema(modes, ref_template="#/$defs/{model}")
    defs: dict[str, Any] = definitions["$defs"]
    server = [
        _envelope(name, [references[m, mode]["$ref"] for m, mode in modes if _named(m, name)])
        for name in dict.fromkeys(m.type for m in notices.ALL)
    ]
    defs["ClientMessage"] = {
        "description": "One text frame from a client.",
        "oneOf": [{"$ref": references[m, "validation"]["$ref"]} for m in CLIENT],
    }
    defs["ServerMessage"] = {
        "description": "One text frame from the server, exactly as this version sends it;"
        " clients ignore fields and notices they don't know.",
        "oneOf": server,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:witness:signaling:v1",
        "title": "Witness signaling, version 1",
        "oneOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": defs,
    }


def schema_text() -> str:
    """The file's content."""
    return json.dumps(build_schema(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _named(model: type[BaseModel], name: str) -> bool:
    return issubclass(model, ServerData) and model.type == name


def _envelope(name: str, data_refs: list[str]) -> dict[str, Any]:
    delivery = next(m.delivery for m in notices.ALL if m.type == name)
    properties: dict[str, Any] = {"type": {"const": name}}
    required = ["type", "data"]
    if delivery in {Delivery.REPLY, Delivery.SOCKET_REPLY, Delivery.ERROR}:
        properties["re"] = _RE
    if delivery in {Delivery.REPLY, Delivery.NOTICE, Delivery.ERROR}:
        properties["seq"] = _SEQ
    if delivery is not Delivery.ERROR:
        required += [key for key in ("re", "seq") if key in properties]
    data: list[dict[str, str]] = [{"$ref": ref} for ref in data_refs]
    properties["data"] = data[0] if len(data) == 1 else {"anyOf": data}
    envelope: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }
    if delivery is Delivery.ERROR:
        # A numbered error always answers a request.
        envelope["dependentRequired"] = {"seq": ["re"]}
    return envelope
