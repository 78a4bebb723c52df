"""Bayesian dispatch: the hidden state's density under every expert, and a prior that outcomes move.

With a fitted :class:`~llm_experts.mixtures.dispatch.BayesDispatcher` and a hidden state, an expert's score is
log p(k | x) - log p(base | x). Without either, what is left of Bayes' rule is the prior: log of the mean of Beta(1 +
wins, 1 + losses) less that of the base, which shifts experts that other policies propose.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from foundation.files import atomic_path, write_json
from serving.router.error import RouterError
from serving.router.outcomes import BASE, Outcomes
from serving.router.policy import SILENT, Verdict
from serving.router.query import Query

if TYPE_CHECKING:
    from llm_experts.mixtures.dispatch import BayesDispatcher

LEAST, MOST = -8.0, 8.0
"""Log-odds are kept within these: one policy alone is never certain."""
_FILE = "dispatch.json"


class DispatchPolicy:
    """Bayesian dispatch over prompts.

    Parameters
    ----------
    outcomes : Outcomes
        What users reported; the dispatcher's own counts are brought up to them.
    dispatcher : BayesDispatcher, optional
        Fitted on pooled hidden states of prompts (``keywords=None`` or their words), experts by name.
    """

    name = "dispatch"

    @property
    def reads_states(self) -> bool:
        """Whether there is a dispatcher."""
        return self.dispatcher is not None

    def __init__(self, outcomes: Outcomes, dispatcher: BayesDispatcher | None = None) -> None:
        self.outcomes, self.dispatcher = outcomes, dispatcher
        self._applied: dict[str, tuple[int, int]] = {}
        self._catching_up = Lock()

    def scores(self, query: Query) -> Verdict:
        """Log posterior odds of the dispatcher's experts, prior log-odds of all others."""
        prior = self.outcomes.log_rates()
        base, shifts = prior.pop(BASE, 0.0), prior
        if self.dispatcher is None or (state := query.state) is None:
            return Verdict(shifts=shifts, base=base, features={"prior": shifts}) if shifts or base else SILENT
        self._catch_up(self.dispatcher)
        words = None if self.dispatcher.vocabulary is None else [frozenset(query.tokens)]
        posterior, abstains = self.dispatcher.judged(state[None], words)
        if bool(abstains[0]):
            return Verdict(
                shifts=shifts, base=base, features={"abstains": "the state is far from every expert, or unsure"}
            )
        logs = posterior[0].clamp(min=1e-30).log()
        odds = (logs[1:] - logs[0]).clamp(LEAST, MOST).tolist()  # the dispatcher's prior is in them
        log_odds = dict(zip(self.dispatcher.names[1:], odds, strict=True))
        others = {name: shift for name, shift in shifts.items() if name not in log_odds}
        scores = {name: value + base for name, value in log_odds.items()}
        return Verdict(scores, others, base, features={"log_odds": log_odds})

    def save(self, folder: Path) -> None:
        """Write the dispatcher and which outcomes it knows; the outcomes themselves are the router's."""
        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            write_json(temporary / _FILE, {"applied": {name: list(pair) for name, pair in self._applied.items()}})
            if self.dispatcher is not None:
                self.dispatcher.save(temporary / "dispatcher")

    @classmethod
    def load(cls, folder: Path) -> DispatchPolicy:
        """Read what :meth:`save` wrote; the router gives it its outcomes.

        Raises
        ------
        RouterError
            If the folder holds no policy.
        """
        from llm_experts.mixtures.dispatch import BayesDispatcher

        try:
            facts: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            applied = {name: (int(wins), int(losses)) for name, (wins, losses) in facts["applied"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RouterError(f"{folder} holds no policy 'dispatch' ({error}): save the router again") from error
        dispatcher = BayesDispatcher.load(folder / "dispatcher") if (folder / "dispatcher").is_dir() else None
        made = cls(Outcomes(), dispatcher)
        made._applied = applied
        return made

    def _catch_up(self, dispatcher: BayesDispatcher) -> None:
        """Tell the dispatcher of outcomes that it has not heard of."""
        with self._catching_up:
            for name, (wins, losses) in self.outcomes.counts.items():
                if name not in dispatcher.names:
                    continue
                known = self._applied.get(name, (0, 0))
                dispatcher.update(name, won=True, times=max(0, wins - known[0]))
                dispatcher.update(name, won=False, times=max(0, losses - known[1]))
                self._applied[name] = (max(wins, known[0]), max(losses, known[1]))
