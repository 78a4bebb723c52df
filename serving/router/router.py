"""The router: profiles of experts and a config in, for each prompt the experts that answer it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import atomic_path, write_json
from serving.router.chain import Decision, decide, in_turn, tally
from serving.router.config import RouterConfig
from serving.router.error import RouterError
from serving.router.explain import counterfactual, why
from serving.router.outcomes import BASE, Outcomes
from serving.router.policies.dispatch import DispatchPolicy
from serving.router.policies.registry import FittedPolicy, from_profiles, load_fitted
from serving.router.policy import Policy
from serving.router.profile import ExpertProfile
from serving.router.query import Query
from serving.router.route import Route
from serving.router.states import StatesOf

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "router/1"
_FILE = "router.json"
_DEFAULT = RouterConfig()


class Router:
    """Chooses experts for prompts; :meth:`of` makes one.

    Notes
    -----
    How an engine uses it: make one router of the profiles of its adapters when these change, and call :meth:`route`
    once per request with the last message of the user. Where a policy reads hidden states (:attr:`reads_states`), the
    ``state`` that the router was made with is asked: a forward pass of its own, over that message without template and
    earlier turns, as the policies were fitted; the keys and values of the prompt are others. A router may be asked from
    many threads.
    """

    def __init__(
        self,
        profiles: Sequence[ExpertProfile],
        config: RouterConfig,
        fitted: Mapping[str, FittedPolicy],
        outcomes: Outcomes,
        state: Callable[[str], Tensor] | None,
        states_of: StatesOf | None = None,
    ) -> None:
        self.profiles = {profile.name: profile for profile in profiles}
        self.config, self.fitted, self.outcomes, self._state = config, dict(fitted), outcomes, state
        self.states_of = states_of or _states_of(state)
        if len(self.profiles) < len(profiles):
            twice = sorted({one.name for one in profiles if sum(one.name == other.name for other in profiles) > 1})
            raise RouterError(f"two experts have the name {twice[0]!r}: give each its own")
        if BASE in self.profiles:
            raise RouterError(f"an expert has the name {BASE!r}, which is that of the base: give it another")
        dispatch = self.fitted.setdefault("dispatch", DispatchPolicy(outcomes))
        if isinstance(dispatch, DispatchPolicy):
            dispatch.outcomes = outcomes
        self._places = in_turn(profiles)
        ranked = [self.profiles[name] for name in self._places]  # candidates then mostly come in their rank
        made = ((name, self.fitted.get(name) or from_profiles(name, ranked, config)) for name in config.order)
        self.policies: tuple[tuple[float, Policy], ...] = tuple(
            (config.weights.get(name, 1.0), policy) for name, policy in made if policy is not None
        )

    @classmethod
    def of(
        cls,
        profiles: Sequence[ExpertProfile],
        config: RouterConfig = _DEFAULT,
        state: Callable[[str], Tensor] | None = None,
        *,
        fitted: Sequence[FittedPolicy] = (),
        outcomes: Outcomes | None = None,
        states_of: StatesOf | None = None,
    ) -> Router:
        """A router over experts.

        Parameters
        ----------
        profiles : sequence of ExpertProfile
        config : RouterConfig
        state : function of a text that gives its pooled hidden state [d], optional
            Asked where :meth:`route` is given none and a policy needs it. If the config's order names prototypes and
            none are given, they are made of what the experts say of themselves.
        fitted : sequence of policies that were fitted, optional
            :class:`~serving.router.policies.prototypes.PrototypePolicy`,
            :class:`~serving.router.policies.calibrated.CalibratedPolicy`,
            :class:`~serving.router.policies.dispatch.DispatchPolicy`. Each takes part if the config's order names it.
        outcomes : Outcomes, optional
            Where feedback is kept; by default it lives as long as the router.
        states_of : StatesOf, optional
            Which model the policies were fitted on hidden states of, kept when the router is saved; that of ``state``
            if it says so, as :func:`~serving.router.states.base_state` does.

        Raises
        ------
        RouterError
            If two experts have one name.
        """
        given = {one.name: one for one in fitted}
        if state is not None and profiles and "prototypes" in config.order and "prototypes" not in given:
            from serving.router.policies.prototypes import PrototypePolicy

            given["prototypes"] = PrototypePolicy.of(profiles, state)
        return cls(profiles, config, given, outcomes or Outcomes(), state, states_of)

    @property
    def reads_states(self) -> bool:
        """Whether a policy of the chain looks at hidden states: an engine then hands one on."""
        return any(getattr(policy, "reads_states", False) for _, policy in self.policies)

    def over(self, profiles: Sequence[ExpertProfile]) -> Router:
        """The same config, fitted policies and outcomes over other experts: those that were installed since, say.

        What a fitted policy says of an expert that is not among them is passed over.
        """
        return Router(profiles, self.config, self.fitted, self.outcomes, self._state, self.states_of)

    def check_source(self, state: Callable[[str], Tensor] | None) -> None:
        """Compare the model that hidden states come from with the one that the policies were fitted on.

        Raises
        ------
        RouterError
            If both are known, differ, and a policy reads states.
        """
        here = _states_of(state)
        if self.reads_states and self.states_of is not None and here is not None and here.hash != self.states_of.hash:
            raise RouterError(
                f"the router was fitted on hidden states of {self.states_of}, and these are of {here}: use it with "
                "that model, or fit one for this (fairmoe route --fit)"
            )

    def check_states(self) -> None:
        """Ask for one hidden state, if a policy reads them.

        Raises
        ------
        RouterError
            If it is not of the base that the policies were fitted with: better now than at every prompt.
        """
        if self.reads_states:
            query = Query("Hello", self._state)
            for _, policy in self.policies:
                policy.scores(query)

    def route(self, text: str, state: Tensor | None = None, *, explain: bool = False) -> Route:
        """Choose the experts that answer a prompt.

        Parameters
        ----------
        text : str
            The prompt; of a conversation its last question.
        state : [d] Tensor, optional
            Mean over the prompt's tokens of the base's last hidden states; by default as the router was made to read.
        explain : bool
            Also look for the smallest change that would change the choice: some tens of further decisions.
        """
        query = Query(text, self._state if state is None else state)
        decision = self.decide(query)
        sentence, policy = why(decision)
        features = dict(decision.tally.features)
        if decision.tally.vetoed:
            features["ruled_out"] = decision.tally.vetoed
        if decision.choice.refused:
            features["refused"] = decision.choice.refused
        return Route(
            _weighted(decision, self.profiles),
            decision.abstained,
            sentence,
            features,
            decision.posterior,
            counterfactual(self.decide, query, decision, self.profiles, self.config) if explain else "",
            policy,
        )

    def decide(self, query: Query) -> Decision:
        """What follows for a prompt that has been read."""
        return decide(tally(query, self.policies, self.profiles), self.profiles, self.config, self._places)

    def feedback(self, expert: str, won: bool) -> None:
        """Report that an expert's answer (or ``base``'s) was good, or not: its prior moves.

        Raises
        ------
        RouterError
            If there is no such expert, or the outcome cannot be kept.
        """
        if expert != BASE and expert not in self.profiles:
            known = ", ".join([BASE, *sorted(self.profiles)])
            raise RouterError(f"no expert {expert[:80]!r} to report an outcome of: known are {known}")
        self.outcomes.add(expert, won)

    def save(self, folder: Path) -> None:
        """Write profiles, config, outcomes and fitted policies: JSON and safetensors."""
        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            facts = {
                "format": FORMAT,
                "config": self.config.as_json(),
                "profiles": [one.as_json() for one in self.profiles.values()],
                "outcomes": {name: list(pair) for name, pair in self.outcomes.counts.items()},
                "fitted": sorted(self.fitted),
            }
            if self.reads_states and self.states_of is not None:
                facts["states"] = self.states_of.as_json()
            write_json(temporary / _FILE, facts)
            for name, policy in self.fitted.items():
                policy.save(temporary / name)

    @classmethod
    def load(
        cls, folder: Path, state: Callable[[str], Tensor] | None = None, outcomes: Outcomes | None = None
    ) -> Router:
        """Read what :meth:`save` wrote; ``outcomes`` takes the place of those that were saved.

        Raises
        ------
        RouterError
            If the folder holds no router, or one of hidden states of another model than ``state`` reads with.
        """
        try:
            facts: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise RouterError(f"{folder} holds a router of the format {facts['format']!r}, not {FORMAT!r}")
            profiles = [ExpertProfile.of_json(one) for one in facts["profiles"]]
            counts = {name: (int(wins), int(losses)) for name, (wins, losses) in facts["outcomes"].items()}
            names = [str(name) for name in facts["fitted"]]
            states_of = StatesOf.of_json(facts["states"]) if "states" in facts else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, RouterError):
                raise
            raise RouterError(f"{folder} holds no router that can be read ({error}): save one first") from error
        config = RouterConfig.of(facts["config"], str(folder / _FILE))
        kept = outcomes if outcomes is not None else Outcomes.of(counts)
        fitted = {name: load_fitted(name, folder / name) for name in names}
        made = cls(profiles, config, fitted, kept, state, states_of)
        made.check_source(state)
        return made


def _states_of(state: Callable[[str], Tensor] | None) -> StatesOf | None:
    found = getattr(state, "of", None)
    return found if isinstance(found, StatesOf) else None


def _weighted(decision: Decision, profiles: Mapping[str, ExpertProfile]) -> tuple[tuple[str, float], ...]:
    """Weights of the chosen by their posterior, of the required as of who requires them, of virtual tokens 1."""
    experts = decision.choice.experts
    total = sum(decision.posterior[name] for name, by in experts.items() if name == by)
    shares = {name: decision.posterior[by] / total for name, by in experts.items()}
    return tuple((name, 1.0 if profiles[name].undivided else share) for name, share in shares.items())
