"""``/healthz``, ``/readyz`` and ``/metrics``: what whoever runs the server asks."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from serving.http.served import served

router = APIRouter(tags=["Operation"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether it takes requests: 503 while it is stopping."""
    here = served(request)
    return JSONResponse({"status": "draining" if here.draining else "ready"}, 503 if here.draining else 200)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    here = served(request)
    return Response(here.metrics.text(here.engine.stats()), media_type=CONTENT_TYPE_LATEST)
