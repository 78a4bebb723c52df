"""The application: guard, routes, errors and numbers around one engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from serving.http.errors import add_handlers
from serving.http.guard import Guard
from serving.http.metrics import Metrics
from serving.http.routes import chat, completions, experts, health, models, page, predict
from serving.http.served import Served
from serving.http.settings import ServerSettings

if TYPE_CHECKING:
    from serving.engine import ExpertEngine

TITLE = "fairmoe"
ABOUT = "Experts for prompts and rows: OpenAI's API, predictions with an audit record, and what operators need."


def create_app(engine: ExpertEngine, settings: ServerSettings | None = None) -> FastAPI:
    """The server of an engine. The engine stays its maker's: whoever opened it closes it, after the server.

    Parameters
    ----------
    engine : ExpertEngine
    settings : ServerSettings
        Default: this machine alone, no key.
    """
    settings = settings or ServerSettings()
    here = Served(engine, settings, Metrics())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        here.draining = True

    app = FastAPI(
        title=TITLE, summary=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )  # fmt: skip
    app.state.served = here
    for group in (models, completions, chat, predict, experts, health, page):
        app.include_router(group.router)
    add_handlers(app, here.metrics.error, here.plain)
    app.add_middleware(Guard, settings=settings, metrics=here.metrics)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"], expose_headers=["retry-after"],
        )  # fmt: skip
    return app
