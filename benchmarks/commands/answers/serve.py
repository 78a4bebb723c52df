"""``fairmoe serve``: installed experts behind OpenAI's API, and rows in, decisions out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.answers.engine_options import Base, RopeScaling, Router
from foundation.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from serving.answer import Answer
    from serving.catalogue import ExpertInfo
    from serving.http.settings import ServerSettings

MEGABYTE = 1 << 20
SHOWN = 12
"""Most models that the start lists; the page and /v1/models have all."""
GROUP = ("fastapi", "uvicorn", "prometheus_client")
VLLM = "vllm"
TELEMETRY = {
    "none": "",
    "otlp": "spans of answers go to OTEL_EXPORTER_OTLP_ENDPOINT",
    "mlflow": "traces of answers go to the MLflow store; 'fairmoe ui' shows them",
}
"""Where answers can be told, and what the start says of it."""


def serve(
    base: Base = "nano",
    experts: Annotated[
        str, typer.Option(help="Names of installed experts, a,b,c; default: all that go with the base.")
    ] = "",
    router: Router = None,
    rope_scaling: RopeScaling = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File of API keys, one a line; FAIRMOE_API_KEYS holds more, with commas.")
    ] = None,
    allow_no_key: Annotated[
        bool, typer.Option("--allow-no-key", help="Listen beyond this machine although no key protects it.")
    ] = False,
    cors: Annotated[str, typer.Option(help="Origins of web pages that may ask, with commas; default: none.")] = "",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 1024,
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows of a request.")] = 10_000,
    max_body_mb: Annotated[int, typer.Option(min=1, help="Largest request.")] = 4,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests in progress; more get 429.")] = 256,
    max_priority: Annotated[int, typer.Option(help="Highest priority that a request may give itself.")] = 0,
    request_seconds: Annotated[float, typer.Option(min=1, help="Longest answer.")] = 300.0,
    drain_seconds: Annotated[float, typer.Option(min=1, help="How long running answers may go on at the end.")] = 30.0,
    manage: Annotated[bool, typer.Option(help="Let requests load, unload, pin and weigh experts.")] = True,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="A line for every request.")] = False,
    telemetry: Annotated[
        str, typer.Option(help="A span for each answer and its phases: otlp (to a collector), mlflow, or none.")
    ] = "none",
    engine: Annotated[str, typer.Option(help="fairmoe, or vllm: export the adapters and start vLLM.")] = "fairmoe",
    vllm: Annotated[Path | None, typer.Option(help="With --engine vllm: its program, in its own environment.")] = None,
    export_to: Annotated[Path, typer.Option(help="With --engine vllm: where adapters go.")] = Path("vllm_adapters"),
) -> None:
    """Serve installed experts over HTTP: OpenAI's API for prompts, /predict for rows, /metrics for operators.

    Models are **auto** (the router chooses), **base**, every expert by its name, and compositions such as
    **a=0.7,b=0.3**. Ctrl-C stops: no new request, running answers end first.

    Examples: fairmoe serve · fairmoe serve --base MODEL_FOLDER --experts law,med · fairmoe serve --host 0.0.0.0
    --api-key-file keys.txt · fairmoe serve --telemetry mlflow · fairmoe serve --engine vllm --base MODEL_FOLDER
    --vllm vllm-env/bin/vllm
    """
    _check_group()
    from serving.http.settings import ServerSettings, first_key, read_keys

    keys = read_keys(api_key_file)
    settings = ServerSettings(
        host=host, port=port, keys=keys, cors=tuple(_parts(cors)), max_new_tokens=max_new_tokens, max_rows=max_rows,
        max_body_bytes=max_body_mb * MEGABYTE, max_requests=max_requests, max_priority=max_priority,
        request_seconds=request_seconds, drain_seconds=drain_seconds, manage=manage,
    )  # fmt: skip
    if not (settings.loopback or keys or allow_no_key):
        raise typer.BadParameter(
            f"{host} can be reached by others, and no API key protects it. Give --api-key-file FILE or set "
            "FAIRMOE_API_KEYS; --allow-no-key if something else protects it."
        )
    if telemetry not in TELEMETRY:
        raise typer.BadParameter(f"There is no telemetry {telemetry!r}; there are {', '.join(TELEMETRY)}.")
    if engine == VLLM:
        if telemetry != "none":
            raise typer.BadParameter("--telemetry is of our own engine; vLLM has --otlp-traces-endpoint of its own.")
        if router is not None or rope_scaling is not None:
            raise typer.BadParameter("--router and --rope-scaling are of our own engine; vLLM routes nothing.")
        from benchmarks.commands.answers.serve_vllm import serve_by_vllm

        serve_by_vllm(settings, base, _parts(experts), vllm, export_to, first_key(api_key_file))
    elif engine == "fairmoe":
        _serve(settings, base, _parts(experts), log_requests, router, rope_scaling, telemetry)
    else:
        raise typer.BadParameter(f"There is no engine {engine!r}; there are fairmoe and vllm.")


def _parts(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _check_group() -> None:
    from importlib.util import find_spec

    from serving.error import ServingError

    missing = [name.replace("_", "-") for name in GROUP if find_spec(name) is None]
    if missing:
        raise ServingError(
            "bad-request",
            f"fairmoe serve needs {', '.join(missing)}: install the dependency group 'serve', pip install --group "
            "serve -c constraints.txt, run where pyproject.toml lies.",
        )


def _serve(
    settings: ServerSettings,
    base: str,
    experts: Sequence[str],
    log_requests: bool,
    router: Path | None,
    rope_scaling: str | None,
    telemetry: str,
) -> None:
    from dataclasses import replace

    from benchmarks.models.engine import open_engine
    from serving.http.app import create_app
    from serving.http.running import Server, bind, run

    with bind(settings) as bound:
        settings = replace(settings, port=bound.getsockname()[1])
        with (
            _told(telemetry) as on_answer,
            open_engine(base, experts or None, router=router, rope_scaling=rope_scaling, on_answer=on_answer) as opened,
        ):
            app = create_app(opened, settings)
            _say(settings, opened.models(), TELEMETRY[telemetry])
            run(Server(app, settings, log_requests=log_requests), bound)
    plain_console().print("All answers have been sent; the server has ended.")


def _told(telemetry: str) -> AbstractContextManager[Callable[[Answer], None] | None]:
    """What sees every answer, until the engine has closed."""
    from contextlib import nullcontext

    if telemetry == "otlp":
        from serving.telemetry import otlp

        return otlp()
    if telemetry == "mlflow":
        from benchmarks.tracking.traces import traces

        return traces()
    return nullcontext()


def _say(settings: ServerSettings, models: Sequence[ExpertInfo], telemetry: str) -> None:
    """Where it is, what can be asked, and how."""
    from benchmarks.asking.session import clipped, untrusted

    console = plain_console(soft_wrap=True, highlight=False)
    console.print(f"fairmoe answers at {settings.url} (Ctrl-C ends it). Models:")
    for info in models[:SHOWN]:
        console.print(f"  {info.name:<24} {info.kind:<8} {clipped(info.description, 40)}".rstrip())
    if len(models) > SHOWN:
        console.print(f"  and {len(models) - SHOWN} more: {settings.url}/v1/models")
    for line in untrusted(models, {info.name for info in models}):
        console.print(line)
    key = "KEY" if settings.keys else '"none"'
    auth = ' \\\n    -H "Authorization: Bearer $KEY"' if settings.keys else ""
    console.print(
        f"\nAsk it:\n  curl {settings.url}/v1/chat/completions \\\n    -H 'Content-Type: application/json'{auth} \\\n"
        '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}\'\n\n'
        "  from openai import OpenAI\n"
        f'  client = OpenAI(base_url="{settings.url}/v1", api_key={key})\n'
        '  client.completions.create(model="auto", prompt="Hello")\n\n'
        f"Page: {settings.url}/ · numbers: {settings.url}/metrics"
    )
    if telemetry:
        console.print(f"Telemetry: {telemetry}.")
    if not settings.keys and not settings.loopback:
        console.print("No API key protects it: whoever reaches the port can ask.")
