"""Errors as OpenAI's API writes them: ``{"error": {"message", "type", "param", "code"}}``, whatever went wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from foundation.escaping import printable
from serving.error import ServingError

logger = logging.getLogger(__name__)

Plain = Callable[[str], str]
CODES = {
    "too-long": "context_length_exceeded",
    "unknown-expert": "model_not_found",
    "overloaded": "rate_limit_exceeded",
}
"""Reasons for which OpenAI's API has a code of its own; others are their slug with underscores."""
INTERNAL = "The server failed to answer this request; its log says why. Send it again, or report it with the log."
UNREADABLE = "There was an error parsing the body"
"""What FastAPI says of a body that Python's JSON gives up on."""
VARIANTS = {"str", "float", "int", "bool", "dict", "list"}
"""Words of pydantic for alternatives of a type, which no client sent."""
NAMES = {403: "forbidden", 409: "conflict"}
SHOWN = 200
"""Most characters of a value that an error shows."""


def error_body(message: str, *, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error."""
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(
    message: str, *, status: int, code: str, param: str | None = None, retry_after: float | None = None
) -> JSONResponse:
    """The response for an error; ``retry_after`` in seconds, rounded up as the header wants it."""
    headers = _retry(retry_after)
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(message, status=status, code=code, param=param), status, headers)


def _retry(after: float | None) -> dict[str, str]:
    return {} if after is None else {"Retry-After": str(max(1, math.ceil(after)))}


def code_of(reason: str) -> str:
    """OpenAI's code for a reason of the engine."""
    return CODES.get(reason, reason.replace("-", "_"))


def serving_body(error: ServingError, plain: Plain = str) -> dict[str, Any]:
    """The JSON of an error of the engine; what failed inside stays inside."""
    text = INTERNAL if error.reason == "internal" else plain(error.text)
    return error_body(text, status=error.http, code=code_of(error.reason), param=_param(error.reason))


def _param(reason: str) -> str | None:
    return "model" if reason in ("unknown-expert", "undefined-composition", "expert-gone") else None


def serving_response(error: ServingError, plain: Plain = str) -> JSONResponse:
    """The response for an error of the engine; ``plain`` takes out of its text what is no client's business."""
    if error.reason == "internal":
        logger.error("A request failed inside the engine: %s", error, exc_info=error)
    return JSONResponse(serving_body(error, plain), error.http, _retry(error.retry_after))


def add_handlers(app: FastAPI, counted: Callable[[str], None], plain: Plain) -> None:
    """Give every error of an app this form; ``counted(reason)`` is called for each, texts go through ``plain``."""

    async def of_engine(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ServingError)
        counted(error.reason)
        return serving_response(error, plain)

    async def of_request(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        counted("bad-request")
        message, param = told(error.errors())
        return error_response(message, status=400, code="bad_request", param=param)

    async def of_route(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        message, code = _route_words(request, error)
        counted(code.replace("_", "-"))
        response = error_response(message, status=error.status_code, code=code)
        response.headers.update(error.headers or {})
        return response

    async def of_server(_request: Request, _error: Exception) -> JSONResponse:
        counted("internal")  # whoever runs the application logs the error, which goes on from here
        return error_response(INTERNAL, status=500, code="internal")

    app.add_exception_handler(ServingError, of_engine)
    app.add_exception_handler(RequestValidationError, of_request)
    app.add_exception_handler(HTTPException, of_route)
    app.add_exception_handler(Exception, of_server)


def _route_words(request: Request, error: HTTPException) -> tuple[str, str]:
    path = shortened(request.url.path)
    if error.status_code == 404:
        return f"There is nothing at {path}. GET / lists what there is.", "not_found"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return f"{path} does not take {request.method}; it takes {allowed}.", "method_not_allowed"
    if error.detail == UNREADABLE:
        return (
            "The body is no JSON that can be read: it is not UTF-8, is nested too deeply, or holds a number too long.",
            "bad_request",
        )
    return str(error.detail), NAMES.get(error.status_code, "bad_request")


def told(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str | None]:
    """One paragraph and the field for what validation found; words as OpenAI's for a field that is not known."""
    first = errors[0]
    if first["type"] == "json_invalid":
        why = first.get("ctx", {}).get("error", "")
        return f"The body is no JSON: {why} at character {first['loc'][-1]}.", None
    param = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        return f"Unrecognized request argument supplied: {param}", param
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{param}: " if param else "The body: "
    return f"{where}{shortened(str(first['msg']).removeprefix('Value error, '), 600)}{more}", param or None


def _path(location: Sequence[Any]) -> str:
    """``messages[0].content`` of ("body", "messages", 0, "content"); names of variants of a type are left out."""
    parts = [part for part in location[1:] if isinstance(part, int) or not _is_variant(str(part))]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return shortened(path.lstrip("."))


def _is_variant(part: str) -> bool:
    return part in VARIANTS or bool(set(part) & set("[](),"))


def shortened(text: str, longest: int = SHOWN) -> str:
    """Text of others as an error shows it: printable, and not too long."""
    plain = printable(text[: longest + 1])
    return plain if len(plain) <= longest else f"{plain[:longest]}…"
