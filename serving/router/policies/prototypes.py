"""Prototypes: the mean hidden state of an expert's texts, and how close a prompt's state is to it.

Hidden states of a language model share large components that say nothing of the subject, so states are centred and
scaled by the mean and spread of all example texts before cosines are taken. With c_k the cosine to expert k's
prototype and c_0 the largest cosine to a text of the base (0 where there is none)::

    score_k = gain * (c_k - max(c_0, floor)) + offset

``gain`` and ``offset`` are fitted by logistic regression on whether k is right (:meth:`PrototypePolicy.fit`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.files import atomic_path, write_json
from serving.router.error import RouterError
from serving.router.outcomes import BASE
from serving.router.policy import SILENT, Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GAIN, FLOOR = 8.0, 0.25
"""Without examples of right and wrong: half a unit of log-odds per 0.06 of cosine, from a cosine of 0.25 on."""
LEAST, MOST = -8.0, 8.0
_SETTINGS, _TENSORS = "prototypes.json", "prototypes.safetensors"


class PrototypePolicy:
    """Experts whose texts a prompt's hidden state is close to.

    Parameters
    ----------
    names : K names of experts
    prototypes : [K, d] Tensor
        Unit vectors in centred and scaled states.
    centre, scale : [d] Tensor
    base : [b, d] Tensor
        Unit vectors of texts that are the base's; none: ``floor`` alone decides.
    gain, floor, offset : float
    """

    name = "prototypes"
    reads_states = True

    def __init__(
        self,
        names: Sequence[str],
        prototypes: Tensor,
        centre: Tensor,
        scale: Tensor,
        base: Tensor,
        gain: float = GAIN,
        floor: float = FLOOR,
        offset: float = 0.0,
    ) -> None:
        self.names = tuple(names)
        self.prototypes, self.centre, self.scale, self.base = prototypes, centre, scale, base
        self.gain, self.floor, self.offset = gain, floor, offset

    @classmethod
    def of(cls, profiles: Sequence[ExpertProfile], state: Callable[[str], Tensor]) -> PrototypePolicy:
        """Prototypes of what experts say of themselves: description, capabilities and keywords, one text each."""
        import torch

        texts = [". ".join([one.description, *one.capabilities, *one.keywords]) or one.name for one in profiles]
        states = torch.stack([_checked(state(text)) for text in texts])
        return cls._made([one.name for one in profiles], states, [one.name for one in profiles])

    @classmethod
    def fit(cls, states: Tensor, experts: Sequence[str]) -> PrototypePolicy:
        """Prototypes of example prompts, with gain and offset fitted on them.

        Parameters
        ----------
        states : [n, d] Tensor
            Pooled hidden states of prompts.
        experts : n names
            Whose each prompt is; ``base`` for those that no expert should answer.

        Notes
        -----
        Gain and offset are fitted on cosines that a prompt has with prototypes made without it (leave one out), so that
        they hold for prompts that are new. How many of the examples are whose is taken out of the offset: what is left
        is evidence, and states that tell nothing say nothing.
        """
        from sklearn.linear_model import LogisticRegression

        checked = _checked(states)
        if len(checked) != len(experts):
            raise RouterError(f"{len(experts)} names for {len(checked)} states: give one expert, or base, per prompt")
        names = sorted(set(experts) - {BASE})
        made = cls._made(names, checked, list(experts))
        lead, right = made._left_out(checked, list(experts))
        model: Any = LogisticRegression
        found = model(C=1e3).fit(lead[:, None], right)
        gain = float(found.coef_[0, 0])
        if gain <= 0:
            raise RouterError(
                "hidden states do not tell the experts' prompts apart: give more examples, or leave prototypes out"
            )
        share = float(right.mean())
        made.gain, made.offset = gain, float(found.intercept_[0]) - math.log(share / (1 - share))
        return made

    @classmethod
    def _made(cls, names: list[str], states: Tensor, experts: list[str]) -> PrototypePolicy:
        import torch

        centre = states.mean(dim=0)
        scale = states.std(dim=0, correction=0) if len(states) > 1 else torch.ones_like(centre)
        scale = scale.clamp(min=max(1e-6, 1e-3 * float(scale.max())))
        unit = torch.nn.functional.normalize((states - centre) / scale, dim=1)
        rows = {name: [i for i, one in enumerate(experts) if one == name] for name in [*names, BASE]}
        prototypes = torch.stack([torch.nn.functional.normalize(unit[rows[name]].mean(dim=0), dim=0) for name in names])
        return cls(names, prototypes, centre, scale, unit[rows[BASE]])

    def scores(self, query: Query) -> Verdict:
        """Log-odds of every expert with a prototype."""
        state = query.state
        if state is None:
            return SILENT
        if state.shape != self.centre.shape:
            raise RouterError(
                f"the hidden state is {list(state.shape)}, the prototypes are of {list(self.centre.shape)}: they were "
                "made with another base. Make them again with this one"
            )
        unit = self._unit(state)
        cosines = self.prototypes @ unit
        least = max(self.floor, float((self.base @ unit).max()) if len(self.base) else self.floor)
        odds = (self.gain * (cosines - least) + self.offset).clamp(LEAST, MOST).tolist()
        scores = dict(zip(self.names, odds, strict=True))
        best = max(scores, key=lambda name: scores[name])
        return Verdict(scores, features={"cosines": dict(zip(self.names, cosines.tolist(), strict=True)), "best": best})

    def save(self, folder: Path) -> None:
        """Write ``prototypes.safetensors`` and ``prototypes.json``."""
        from safetensors.torch import save_file

        with atomic_path(folder) as temporary:
            temporary.mkdir(parents=True)
            tensors = {
                "prototypes": self.prototypes,
                "centre": self.centre,
                "scale": self.scale,
                "base": self.base,
            }
            save_file({name: one.contiguous() for name, one in tensors.items()}, temporary / _TENSORS)
            write_json(temporary / _SETTINGS, {"names": list(self.names), **self._numbers})

    @classmethod
    def load(cls, folder: Path) -> PrototypePolicy:
        """Read what :meth:`save` wrote.

        Raises
        ------
        RouterError
            If the folder holds no prototypes.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            facts: Mapping[str, Any] = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            t = load_file(folder / _TENSORS)
            rest = (float(facts["gain"]), float(facts["floor"]), float(facts["offset"]))
            return cls(facts["names"], t["prototypes"], t["centre"], t["scale"], t["base"], *rest)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise RouterError(f"{folder} holds no prototypes ({error}): save the router again") from error

    @property
    def _numbers(self) -> dict[str, float]:
        return {"gain": self.gain, "floor": self.floor, "offset": self.offset}

    def _unit(self, state: Tensor) -> Tensor:
        import torch

        plain = (state.detach().to("cpu", self.centre.dtype) - self.centre) / self.scale
        return torch.nn.functional.normalize(plain, dim=0)

    def _left_out(self, states: Tensor, experts: list[str]) -> tuple[Any, Any]:
        """Leads of cosines over the floor or the base's texts [n * K], without the prompt itself, and who is right."""
        import torch

        unit = torch.nn.functional.normalize((states - self.centre) / self.scale, dim=1)
        whose = torch.tensor([[expert == name for name in self.names] for expert in experts])
        sums = whose.to(unit.dtype).T @ unit
        others = sums - whose[:, :, None] * unit[:, None]  # [n, K, d]: of each prototype without the prompt itself
        cosines = (torch.nn.functional.normalize(others, dim=2) * unit[:, None]).sum(dim=2)
        near = (unit @ unit.T).fill_diagonal_(-1)[:, [expert == BASE for expert in experts]]
        least = torch.cat([near, torch.full((len(unit), 1), self.floor)], dim=1).max(dim=1).values
        known = whose.sum(dim=0) - whose.to(torch.int64) > 0
        return (cosines - least[:, None])[known].numpy(), whose[known].numpy()


def _checked(states: Tensor) -> Tensor:
    found: torch.Tensor = states.detach().to("cpu").float()
    if not bool(found.isfinite().all()):
        raise RouterError("a hidden state is not finite: compute the hidden states in float32")
    return found
