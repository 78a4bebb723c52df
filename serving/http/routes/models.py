"""``/v1/models``: the base, ``auto`` and every expert, as models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from serving.error import ServingError
from serving.http.errors import shortened
from serving.http.served import Served, public, served

if TYPE_CHECKING:
    from serving.catalogue import ExpertInfo

router = APIRouter(tags=["OpenAI"])
OWNER = "fairmoe"


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    """Everything that can be asked under a name; a composition such as a=0.7,b=0.3 needs no entry."""
    here = served(request)
    return {"object": "list", "data": [_model(info, here) for info in here.engine.models()]}


@router.get("/v1/models/{name:path}")
async def one_model(request: Request, name: str) -> dict[str, Any]:
    """One of them."""
    here = served(request)
    for info in here.engine.models():
        if info.name == name or (info.kind == "base" and public(info.base) == name):
            return _model(info, here)
    raise ServingError("unknown-expert", f"There is no model {shortened(name)!r}; GET /v1/models lists all.")


def _model(info: ExpertInfo, here: Served) -> dict[str, Any]:
    return {"id": info.name, "object": "model", "created": here.since, "owned_by": OWNER, "fairmoe": described(info)}


def described(info: ExpertInfo) -> dict[str, Any]:
    """What an expert is, and whether it is in memory."""
    return {
        "kind": info.kind, "description": info.description, "version": info.version, "trust": info.trust,
        "base": public(info.base), "loaded": info.loaded, "pinned": info.pinned,
        **({} if info.priority is None else {"priority": info.priority}),
    }  # fmt: skip
