"""JSON in the body of a request: bounded in size and time, and held to a model."""

import asyncio
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from signaling.errors import ErrorCode, HttpCode, SessionRefusedError

__all__ = ["BODY_TIMEOUT_S", "read_json", "wrong"]

BODY_TIMEOUT_S: Final = 10.0
_MAX_BODY: Final = 4_096
Model = TypeVar("Model")


async def read_json(
    request: web.Request, model: "type[Model] | TypeAdapter[Model]", limit: int = _MAX_BODY
) -> Model:
    """Reads the body.

    Args:
        request: what came.
        model: what the body has to be.
        limit: its size, bytes.

    Raises:
        SessionRefusedError: it is something else, too long, or too slow.
    """
    # A page of another origin can't send this type without asking first, which is not answered.
    if request.content_type != "application/json":
        detail = "send application/json"
        raise SessionRefusedError(415, HttpCode.UNSUPPORTED_MEDIA_TYPE, detail)
    if (request.content_length or 0) > limit:
        raise SessionRefusedError(413, ErrorCode.TOO_LARGE, f"at most {limit} bytes")
    adapter: TypeAdapter[Any] = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return adapter.validate_json(await request.read())  # type: ignore[no-any-return]
    except TimeoutError:
        raise SessionRefusedError(408, ErrorCode.TIMEOUT, "the body took too long") from None
    except ValidationError as error:
        raise wrong(error) from None


def wrong(error: ValidationError) -> SessionRefusedError:
    """What is wrong with what was sent, without what was sent."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    why = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
    return SessionRefusedError(400, ErrorCode.BAD_MESSAGE, f"wrong or missing: {where}: {why}")
