"""The engine of this user: installed experts on a base, answering rows and prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.models.installed import InstalledExperts, Known
    from llm_experts.bases.base import Base
    from llm_experts.runtime.resident import ResidentBase
    from serving.answer import Answer
    from serving.engine import EngineSettings, ExpertEngine
    from serving.router import ExpertProfile, Router, RouterConfig
    from serving.router.states import State

SLOTS, RANK = 8, 16
OURS = {
    "artefacts",
    "benchmarks",
    "experts",
    "foundation",
    "gates",
    "llm_experts",
    "metrics",
    "moe",
    "serving",
    "tasks",
}


def open_engine(
    base: str | Path | Base | None = "nano",
    experts: Sequence[str] | None = None,
    *,
    router: RouterConfig | Path | None = None,
    settings: EngineSettings | None = None,
    slots: int = SLOTS,
    rank: int | None = None,
    rope_scaling: str | None = None,
    device: str = "cpu",
    allow_untrusted: bool = False,
    on_answer: Callable[[Answer], None] | None = None,
) -> ExpertEngine:
    """Open an engine on the experts that are installed, or on those that are named.

    Parameters
    ----------
    base : str, Path or Base, optional
        ``nano``, the folder of a model, a Hugging Face id, or a base that is loaded; None: rows alone are answered.
    experts : sequence of str, optional
        Names of installed experts, paths of ``.expert`` files, or folders of adapters or saved models (with a ``/``);
        default: all that are installed, as they come and go while the engine runs.
    router : RouterConfig or Path, optional
        How ``experts="auto"`` is decided: by a config, itself or as a TOML file, or as the router in a folder that
        ``fairmoe route --fit`` saved, over the experts that there are now. Hidden states of the base are read if a
        policy of that router does, or if the ``order`` of a config that was given here names prototypes.
    settings : EngineSettings, optional
        Bounds of batch and queue.
    slots, rank : int
        Adapters on the base at once, and their largest rank; the rank is that of the largest named one by default, and
        at least 16.
    rope_scaling : str, optional
        For longer texts than the base was trained on: ``linear:2``, ``dynamic:4`` or ``yarn:4``.
    device : str
        Where a base is loaded.
    allow_untrusted : bool
        Also packages that nobody whom the user trusts has signed.
    on_answer : callable, optional
        Sees every answer: ``serving.telemetry.spans()`` sends it to OpenTelemetry.

    Returns
    -------
    ExpertEngine
        A context manager.

    Raises
    ------
    BaseError, PackageError, RegistryError, ModelError, RouterError
        What cannot be had, and what to do.

    Examples
    --------
    >>> with open_engine() as engine:  # doctest: +SKIP
    ...     engine.infer("What is SQL?").text
    """
    from benchmarks.models.installed import InstalledExperts
    from llm_experts.bases.base import Base
    from llm_experts.bases.load import load_base
    from serving.engine import EngineSettings, ExpertEngine

    with ExitStack() as stack:
        found = InstalledExperts(None if experts is None else tuple(experts), stack, allow_untrusted)
        given = base
        if given is not None and not isinstance(given, Base):
            given = load_base(str(given), device=device, rope_scaling=rope_scaling)
        resident = None if given is None else _resident(given, found, slots, rank)
        return ExpertEngine(
            resident, catalogue=found, open_rows=_opener(found, given), router=_router(found, router, given),
            settings=settings or EngineSettings(), on_answer=on_answer, explain=told, closed_with=stack.pop_all(),
        )  # fmt: skip


def told(error: Exception) -> str | None:
    """The text of an error that users can mend: a ValueError of a class of ours; None of what a program got wrong."""
    named = isinstance(error, ValueError) and type(error).__module__.split(".")[0] in OURS
    return " ".join(str(error).split()) if named else None


def _resident(base: Base, found: InstalledExperts, slots: int, rank: int | None) -> ResidentBase:
    from llm_experts.runtime.resident import ResidentBase, rank_in

    entries = [entry for entry in found().values() if entry.base in ("", base.hash)]
    ranks = [rank_in(entry.source) for entry in entries if entry.source is not None]
    return ResidentBase(base, slots=slots, rank=max([RANK, *ranks]) if rank is None else rank)


def _opener(found: InstalledExperts, base: Base | None) -> Callable[[str], Any]:
    def opened(name: str) -> Any:
        same = base is not None and found()[name].base == base.hash
        return found.open_rows(name, base.id if base is not None and same else None)

    return opened


def _router(
    found: InstalledExperts, given: RouterConfig | Path | None, base: Base | None
) -> Callable[[], Router | None]:
    """The router over the adapters that there are now; made anew when they change, with the same outcomes."""
    if base is None:
        return lambda: None
    make = _maker(given, base)
    made: tuple[Mapping[str, Known], tuple[ExpertProfile, ...], Router] | None = None

    def now() -> Router:
        nonlocal made
        known, before = found.known(), made
        if before is not None and before[0] is known:
            return before[2]
        profiles = tuple(
            one.profile
            for one in known.values()
            if one.entry.source is not None and one.entry.base in ("", base.hash) and not one.entry.fault
        )
        router = before[2] if before is not None and before[1] == profiles else make(profiles)
        made = known, profiles, router
        return router

    return now


def _maker(given: RouterConfig | Path | None, base: Base) -> Callable[[Sequence[ExpertProfile]], Router]:
    """What makes a router of profiles: a config, or a router that was saved."""
    from serving.router import Router, RouterConfig
    from serving.router.installed import own_outcomes
    from serving.router.states import base_state

    outcomes = own_outcomes()
    if isinstance(given, Path) and given.suffix == ".toml":
        given = RouterConfig.read(given)
    if isinstance(given, Path):
        saved = Router.load(given, base_state(base), outcomes)
        saved.check_states()
        return saved.over
    state: State | None = None
    if given is not None and "prototypes" in given.order:
        state = base_state(base)
    return lambda profiles: Router.of(profiles, given or RouterConfig(), state, outcomes=outcomes)
