"""``/experts``: what is in memory, having it there or not, and how much ``auto`` prefers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
from fastapi import APIRouter, HTTPException, Request

from serving.error import ServingError
from serving.http.errors import shortened
from serving.http.routes.models import described
from serving.http.served import Served, served
from serving.http.wire import WeightRequest

router = APIRouter(prefix="/experts", tags=["Experts"])


@router.get("")
async def list_experts(request: Request) -> dict[str, Any]:
    """All experts: kind, version, trust, whether they are in memory and stay there, priority for ``auto``."""
    return {
        "object": "list",
        "data": [{"name": info.name, **described(info)} for info in served(request).engine.models()],
    }


@router.get("/{name:path}")
async def one_expert(request: Request, name: str) -> dict[str, Any]:
    """One of them."""
    return _told(served(request), name)


@router.post("/{name:path}/load")
async def load(request: Request, name: str) -> dict[str, Any]:
    """Have an expert in memory before it is asked."""
    return await _done(request, name, served(request).engine.load)


@router.post("/{name:path}/unload")
async def unload(request: Request, name: str) -> dict[str, Any]:
    """Let an expert go once nothing runs on it; it is loaded again when asked."""
    return await _done(request, name, served(request).engine.unload)


@router.post("/{name:path}/pin")
async def pin(request: Request, name: str) -> dict[str, Any]:
    """Load an expert and keep it, whatever else is asked."""
    return await _done(request, name, served(request).engine.pin)


@router.post("/{name:path}/unpin")
async def unpin(request: Request, name: str) -> dict[str, Any]:
    """Keep it no longer."""
    engine = served(request).engine
    return await _done(request, name, lambda expert: engine.pin(expert, False))


@router.post("/{name:path}/weight")
async def weigh(request: Request, name: str, body: WeightRequest) -> dict[str, Any]:
    """Set by how much ``auto`` prefers an expert, from 0 to 1, while this server runs; null is its package's own."""
    engine = served(request).engine
    return await _done(request, name, lambda expert: engine.prioritise(expert, body.priority))


async def _done(request: Request, name: str, what: Callable[[str], None]) -> dict[str, Any]:
    from llm_experts.adapters.error import AdapterError

    here = served(request)
    if not here.settings.manage:
        raise HTTPException(
            403, "This server lets no request load, unload, pin or weigh experts; start it without --no-manage."
        )
    try:
        await anyio.to_thread.run_sync(what, name)
    except AdapterError as error:
        raise HTTPException(409, str(error)) from error
    return _told(here, name)


def _told(here: Served, name: str) -> dict[str, Any]:
    for info in here.engine.models():
        if info.name == name:
            return {"name": info.name, **described(info)}
    raise ServingError("unknown-expert", f"There is no expert {shortened(name)!r}; GET /experts lists all.")
