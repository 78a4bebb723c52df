"""``fairmoe route``: which installed experts answer a prompt, why, and how well prompts are routed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console

    from serving.router.evaluation.figures import Evaluation, Figure
    from serving.router.evaluation.prompts import LabelledPrompt
    from serving.router.evaluation.swaps import AxisDisparity
    from serving.router.route import Route
    from serving.router.router import Router

OWN = "own"
"""Names the project's own prompts and experts."""

WRONG = 8
"""Prompts with a wrong route that are shown."""


class Outcome(StrEnum):
    """How an answer was."""

    WON = "won"
    LOST = "lost"


def route(
    text: Annotated[str | None, typer.Argument(help="A prompt.")] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show what policies saw, the posterior, and what would change the choice."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="TOML file: order and weights of policies, at_most, thresholds, patterns.")
    ] = None,
    router: Annotated[Path | None, typer.Option(help="A saved router in place of the installed experts.")] = None,
    base: Annotated[
        str | None,
        typer.Option(help="Base whose hidden states are looked at: a folder, .gguf file or id; default: words only."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Sentence encoder in place of a base, by id or folder; only safetensors.")
    ] = None,
    feedback: Annotated[
        Outcome | None, typer.Option(help="Report how an answer of --expert was: its prior moves.")
    ] = None,
    expert: Annotated[str | None, typer.Option(help="Whose answer it was; base for that of the base.")] = None,
    evaluate: Annotated[
        str | None,
        typer.Option(help="Prompts with the right experts, JSON Lines; own: the project's prompts and experts."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="With --evaluate: policies alone and chained, fitted on its training split."),
    ] = False,
    swaps: Annotated[
        Path | None, typer.Option(help="With --evaluate: templates and group terms, JSON; default: the project's.")
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(help="Prompts to fit policies on, JSON Lines; the router is saved to --output.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the router that --fit makes.")] = Path("router"),
    seed: Annotated[int, typer.Option(help="Of folds, intervals and nulls.")] = 0,
) -> None:
    """Say which experts answer a prompt; the base answers where none fits.

    A line of --evaluate and --fit is {"text": "…", "experts": ["sql-expert"]}; no experts: the base. The evaluation
    also swaps group terms in templates: the same prompt must get the same experts (route_flip@1).

    Examples: fairmoe route "Join two tables in SQL" --explain · fairmoe route --feedback won --expert sql-expert ·
    fairmoe route --evaluate own · fairmoe route --fit prompts.jsonl --output router · fairmoe route "…" --router router
    """
    asked = sum(one is not None for one in (text, feedback, evaluate, fit))
    if asked != 1:
        raise typer.BadParameter('give one of a prompt, --feedback, --evaluate and --fit: fairmoe route "…" --explain')
    if (feedback is None) != (expert is None):
        raise typer.BadParameter("--feedback and --expert belong together: fairmoe route --feedback won --expert NAME")
    found = _router(config, router, own=evaluate == OWN)
    state = _state(base, encoder)
    if fit is None:  # which takes the place of what was fitted before
        found.check_source(state)
    if feedback is not None and expert is not None:
        found.feedback(expert, feedback is Outcome.WON)
        _tell_outcomes(found, expert)
    elif fit is not None:
        _fit(found, fit, state, output, seed)
    elif evaluate is not None and compare:
        _compare(found, evaluate, state, seed)
    elif evaluate is not None:
        _evaluate(found, evaluate, swaps, state, seed, as_json)
    elif text is not None:
        made = found.route(text, None if state is None else state(text), explain=explain or as_json)
        _print_json(_facts(made)) if as_json else _show(made, found, explain)


def _router(config: Path | None, folder: Path | None, *, own: bool) -> Router:
    from artefacts.registry.registry import Registry
    from serving.router.config import RouterConfig
    from serving.router.installed import installed_profiles, own_outcomes
    from serving.router.outcomes import Outcomes
    from serving.router.router import Router

    outcomes = Outcomes() if own else own_outcomes()
    settings = RouterConfig() if config is None else RouterConfig.read(config)
    if folder is not None:
        loaded = Router.load(folder, outcomes=outcomes)
        if config is None:
            return loaded
        profiles, fitted = list(loaded.profiles.values()), list(loaded.fitted.values())
        return Router.of(profiles, settings, fitted=fitted, outcomes=outcomes, states_of=loaded.states_of)
    if own:
        from serving.router.evaluation.prompts import own_profiles

        return Router.of(own_profiles(), settings, outcomes=outcomes)
    return Router.of(installed_profiles(Registry.of_user()), settings, outcomes=outcomes)


def _state(base: str | None, encoder: str | None) -> Any:
    if base is None and encoder is None:
        return None
    if base is not None and encoder is not None:
        raise typer.BadParameter("give --base or --encoder, not both: prototypes are of one of them")
    from llm_experts.bases.load import load_base
    from serving.router.states import base_state, encoder_state

    with plain_console(stderr=True).status(f"Loading {base or encoder}"):
        return encoder_state(encoder) if encoder is not None else base_state(load_base(base or ""))


def _show(made: Route, router: Router, explain: bool) -> None:
    console = plain_console()
    if not router.profiles:
        console.print("No adapter is installed, so the base answers. Next: fairmoe install FILE", highlight=False)
        return
    for name, weight in made.experts or (("the base", 1.0),):
        console.print(styled(name, "bold green" if made.experts else "bold", f"  weight {weight:.2f}"), highlight=False)
    console.print(made.why, highlight=False)
    if explain:
        _show_posterior(console, made)
        for policy, seen in made.features.items():
            for line in _seen(policy, seen):
                console.print(line, highlight=False)
        console.print(styled("To change it: ", "bold", made.counterfactual), highlight=False)
    console.print("Next: " + ("fairmoe chat --experts auto" if explain else "--explain says more"), highlight=False)


def _show_posterior(console: Console, made: Route) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("who", overflow="fold")
    table.add_column("probability", justify="right")
    table.add_column("answers")
    chosen = made.names or ("base",)
    for name, value in sorted(made.posterior.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
        table.add_row(name, f"{value:.3f}", "yes" if name in chosen else "")
    console.print(table)


def _seen(policy: str, seen: Any) -> list[str]:
    """What a policy saw, a line for each expert or fact."""
    if not isinstance(seen, dict):
        return [f"{policy}: {seen}"]
    found = []
    for what, value in seen.items():
        if what == "words" and isinstance(value, dict):
            found += [f"{policy}: {name} has {', '.join(words)}" for name, words in value.items()]
        elif isinstance(value, dict):
            numbers = sorted(value.items(), key=lambda pair: -pair[1])[:4]
            found.append(f"{policy}: {what} " + ", ".join(f"{name} {number:+.2f}" for name, number in numbers))
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            found.append(f"{policy}: {what.replace('_', ' ')}: {shown}")
    return found


def _facts(made: Route) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(made) | {"experts": dict(made.experts)}


def _print_json(facts: object) -> None:
    import json

    from foundation.numbers import finite

    typer.echo(json.dumps(finite(facts), indent=2, sort_keys=True, allow_nan=False, default=str))


def _tell_outcomes(router: Router, expert: str) -> None:
    wins, losses = router.outcomes.counts[expert]
    shift = router.outcomes.log_rates()[expert]
    plain_console().print(
        f"{expert}: {wins} won, {losses} lost; log-odds {shift:+.2f} from now on. Kept in {router.outcomes.path}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _fit(router: Router, path: Path, state: Any, output: Path, seed: int) -> None:
    from serving.router.evaluation.fit import fit_policies, with_calibrated
    from serving.router.evaluation.prompts import read_prompts
    from serving.router.router import Router

    prompts = read_prompts(path)
    train = [one for one in prompts if one.split == "train"] or prompts
    profiles = list(router.profiles.values())
    fitted = fit_policies(train, profiles, _states(train, state), seed=seed)[:1]  # the calibrated one
    made = Router.of(
        profiles, with_calibrated(router.config), fitted=fitted, outcomes=router.outcomes,
        states_of=None if state is None else state.of,
    )  # fmt: skip
    made.save(output)
    console = plain_console()
    what = "words" if state is None else "words and hidden states"
    console.print(
        f"A calibrated policy of {what}, fitted on {len(train)} prompts. Saved: {output}", soft_wrap=True,
        highlight=False,
    )  # fmt: skip
    console.print(f"Next: fairmoe route --evaluate {path} --router {output}", soft_wrap=True, highlight=False)


def _states(prompts: list[LabelledPrompt], state: Any) -> Any:
    if state is None:
        return None
    import torch
    from rich.progress import track

    console = plain_console(stderr=True)
    return torch.stack([state(one.text) for one in track(prompts, "Reading prompts", console=console, transient=True)])


def _evaluate(router: Router, path: str, swaps: Path | None, state: Any, seed: int, as_json: bool) -> None:
    import dataclasses

    from serving.router.evaluation.figures import evaluate
    from serving.router.evaluation.prompts import TEST, own_prompts, read_prompts, split_of
    from serving.router.evaluation.swaps import disparity, own_swaps, read_swaps

    prompts = split_of(own_prompts() if path == OWN else read_prompts(Path(path)), TEST)
    found = evaluate(router, prompts, _states(prompts, state), seed=seed)
    templates = own_swaps() if swaps is None else read_swaps(swaps)
    with plain_console(stderr=True).status("Swapping group terms"):
        flips = disparity(router, templates, state, seed=seed)
    if as_json:
        figures = {one.name: getattr(found, one.name) for one in dataclasses.fields(found) if one.name != "wrong"}
        plain = {name: _plain(value) for name, value in figures.items()}
        axes = {name: dataclasses.asdict(one.flip) for name, one in flips.items()}
        _print_json({"figures": plain, "route_flip@1": axes})
        return
    _show_figures(plain_console(), found)
    _show_flips(plain_console(), flips)


def _compare(router: Router, path: str, state: Any, seed: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from serving.router.evaluation.compare import compared
    from serving.router.evaluation.figures import evaluate
    from serving.router.evaluation.prompts import TEST, own_prompts, read_prompts, split_of

    prompts = own_prompts() if path == OWN else read_prompts(Path(path))
    routers = compared(prompts, list(router.profiles.values()), _states(prompts, state), seed=seed)
    test = split_of(prompts, TEST)
    found = {name: evaluate(one, test, states, seed=seed) for name, (one, states) in routers.items()}
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=f"{len(test)} test prompts", title_justify="left")
    table.add_column("policies", overflow="fold")
    for name in ("right, 95 %", "wrong expert", "regret", "ECE", "Brier"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, one in found.items():
        right = one.accuracy["all"]
        numbers = (one.wrong_expert, one.regret, one.ece, one.brier)
        shown = f"{right.estimate:.2f} ({right.low:.2f}-{right.high:.2f})"
        table.add_row(name, shown, *(f"{figure.estimate:.3f}" for figure in numbers))
    kinds = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title="right experts by kind", title_justify="left")
    kinds.add_column("policies", overflow="fold")
    names = [kind for kind in next(iter(found.values())).accuracy if kind != "all"]
    for kind in names:
        kinds.add_column(f"{kind[:10]}", justify="right", no_wrap=True)
    for name, one in found.items():
        kinds.add_row(name, *(f"{one.accuracy[kind].estimate:.2f}" for kind in names))
    console = plain_console()
    console.print(table)
    console.print(kinds)


def _plain(value: Any) -> Any:
    import dataclasses

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value]


def _show_figures(console: Console, found: Evaluation) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("prompts")
    for name in ("n", "figure", "95 %"):
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, figure: Figure) -> None:
        table.add_row(name, str(figure.n), f"{figure.estimate:.3f}", f"{figure.low:.3f} to {figure.high:.3f}")

    for kind, figure in found.accuracy.items():
        add(f"right experts, {kind}", figure)
    add("a wrong expert answers", found.wrong_expert)
    add("base answers, unsure", found.abstained)
    add("regret to the oracle", found.regret)
    add("… of the base alone", found.base_regret)
    add("calibration error (ECE)", found.ece)
    add("Brier score", found.brier)
    console.print(table)
    for one, made in found.wrong[:WRONG]:
        names = " and ".join(made.names) or "base"
        console.print(f"wrong: {names} for {one.text}", highlight=False, overflow="ellipsis", no_wrap=True)
    if len(found.wrong) > WRONG:
        console.print(f"and {len(found.wrong) - WRONG} others", highlight=False)


def _show_flips(console: Console, flips: dict[str, AxisDisparity]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = "route_flip@1: prompts whose experts change with a group term"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=title, title_justify="left")
    table.add_column("axis")
    for name in ("flips", "95 %", "neutral words", "null p95", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for axis, one in flips.items():
        value, p = one.flip.value, one.flip.p_value
        between = f"{value.low:.3f} to {value.high:.3f}"
        numbers = (f"{one.flip.neutral.estimate:.3f}", f"{value.null_p95:.3f}", "<.001" if p < 0.001 else f"{p:.3f}")
        table.add_row(axis, f"{value.estimate:.3f}", between, *numbers)
    console.print(table)
    for one in flips.values():
        for flipped in one.examples[:1]:
            first, second = (" and ".join(names) or "base" for names in flipped.experts)
            said = f"{flipped.template} {flipped.terms[0]}: {first}; {flipped.terms[1]}: {second}"
            console.print(styled("flips ", "yellow", said), highlight=False)
