"""``fairmoe chat``: a conversation with the base and its experts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.answers.engine_options import (
    AllowUntrusted,
    Base,
    Device,
    Experts,
    MaxTokens,
    RopeScaling,
    Router,
    Seed,
    Stop,
    Temperature,
    TopK,
    TopP,
    sampling_of,
)
from foundation.console import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.asking.session import Session
    from serving.answer import Answer
    from serving.ticket import Ticket

MOST = 256
"""Tokens of an answer, where neither the user nor a package says."""


def chat(
    prompt: Annotated[
        str | None, typer.Option(help="Ask this once, print the answer and end; - reads it from the standard input.")
    ] = None,
    experts: Experts = "auto",
    base: Base = "nano",
    system: Annotated[str, typer.Option(help="What the model is told ahead of the conversation.")] = "",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    repetition_penalty: Annotated[
        float, typer.Option(min=0.01, help="Above 1: words that were said become less likely.")
    ] = 1.0,
    stop: Stop = None,
    seed: Seed = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show who answered, why, and how long it took.")] = False,
    router: Router = None,
    rope_scaling: RopeScaling = None,
    device: Device = "cpu",
    allow_untrusted: AllowUntrusted = False,
) -> None:
    """Talk to the base and its experts; answers come word by word, and Ctrl-C stops one.

    **auto** lets the router choose for each question, **base** asks the base alone, **a,b** composes experts and
    **a=0.7,b=0.3** weighs them. In a conversation /help tells more. With --prompt the standard output holds the answer
    and nothing else.

    Examples: fairmoe chat · fairmoe chat --base MODEL_FOLDER --experts law=0.7,med=0.3 · fairmoe chat --prompt "What is
    SQL?" --debug · echo "Hello" | fairmoe chat --prompt - --temperature 0.8 --seed 1
    """
    from benchmarks.asking.session import Session, experts_named, hints, untrusted
    from benchmarks.models import open_engine

    sampling, left_open = sampling_of(MOST, max_tokens, temperature, top_p, top_k, stop, seed, repetition_penalty)
    asked, notes = experts_named(experts), plain_console(stderr=True, highlight=False)
    with notes.status(f"Loading {base}"):
        engine = open_engine(
            base, router=router, rope_scaling=rope_scaling, device=device, allow_untrusted=allow_untrusted
        )
    with engine:
        session = Session(engine, asked, sampling, system, debug, left_open=left_open)
        engine.check_text(asked)
        for line in (*untrusted(engine.models(), None if isinstance(asked, str) else asked or ()), *hints(engine)):
            notes.print(line)
        if prompt is not None:
            _once(session, sys.stdin.read().rstrip("\n") if prompt == "-" else prompt, notes)
        else:
            _talk(session, notes)


def _once(session: Session, prompt: str, notes: Console) -> None:
    ticket = session.ask(prompt)
    _stream(ticket)
    answer = ticket.result()
    typer.echo()
    _explain(session, answer, notes)


def _talk(session: Session, notes: Console) -> None:
    """Read lines until the end of input; what a user typed is not printed again."""
    from benchmarks.asking.session import shown

    base = session.engine.models()[0].base
    notes.print(f"{base}; experts: {shown(session.experts)}. /help tells what can be said, /quit ends.")
    terminal = sys.stdin.isatty()
    if terminal:
        _history()
    while (line := _line(terminal)) is not None:
        if line.strip() and not _said(session, line.strip(), notes):
            return


def _line(terminal: bool) -> str | None:
    """The next line; None at the end of input."""
    try:
        return input("> " if terminal else "")
    except EOFError:
        if terminal:
            typer.echo()
        return None
    except KeyboardInterrupt:
        typer.echo("  (Ctrl-D or /quit ends)", err=True)
        return ""


def _history() -> None:
    """Arrow keys, where Python has them."""
    from contextlib import suppress

    with suppress(ImportError):
        import readline  # noqa: F401


def _said(session: Session, line: str, notes: Console) -> bool:
    """Answer a line or do what it says; False ends the conversation."""
    from serving.error import ServingError

    try:
        if line.startswith("/"):
            told = session.command(line)
            if told is not None:
                notes.print(told)
            return told is not None
        _turn(session, line, notes)
    except ServingError as error:
        longer = error.reason == "too-long" and session.said
        notes.print(f"{error.text} All that was said counts; /reset forgets it." if longer else error.text)
    return True


def _turn(session: Session, line: str, notes: Console) -> None:
    ticket = session.ask(line)
    reply: list[str] = []
    try:
        _stream(ticket, reply)
    except KeyboardInterrupt:
        ticket.cancel()
        typer.echo()
        notes.print("(stopped)")
        session.remember(line, "".join(reply))
        return
    answer = ticket.result()
    typer.echo()
    session.remember(line, answer.text or "")
    _explain(session, answer, notes)


def _stream(ticket: Ticket, kept: list[str] | None = None) -> None:
    """Print an answer as it comes; what a terminal would act upon is shown, not done."""
    from benchmarks.asking.session import printable

    begun = False
    for piece in ticket:
        if kept is not None:
            kept.append(piece.text)
        text = piece.text if begun else piece.text.lstrip()  # a template's blank is no part of the answer
        begun = begun or bool(text)
        typer.echo(printable(text), nl=False)
        sys.stdout.flush()


def _explain(session: Session, answer: Answer, notes: Console) -> None:
    from benchmarks.asking.session import cut, facts

    if (ended := cut(answer, session.sampling, session.left_open)) is not None:
        notes.print(ended)
    if session.debug:
        for line in facts(answer):
            notes.print(line)
