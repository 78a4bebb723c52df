"""Distillation: a larger model's next tokens are learnt, not only the answer that happens to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from foundation.hashing import hash_file
from llm_experts.adapters.store import WEIGHTS
from llm_experts.bases.identify import NANO
from llm_experts.bases.load import base_hash
from llm_experts.training.loop.method import Method, MethodRecord, Need, Run
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.distillation import token_divergence
from llm_experts.training.methods.teacher import Teacher, adapter_folder
from llm_experts.training.sequences.batch import Batch
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class DistilOptions:
    """Options of distillation.

    Attributes
    ----------
    teacher : str
        The larger model: ``nano``, a folder, or a Hugging Face id; its vocabulary must be that of the base.
    adapter : str
        Folder of an adapter of the teacher; "" for none.
    temperature : float
        Above 0; larger ones show more of what the teacher thinks of unlikely tokens.
    weight : float
        Share of the teacher in the loss, in (0, 1]; the rest is that of the written answers.
    memory : int
        MiB of teacher's logits that are kept between epochs; what does not fit is computed again.
    """

    teacher: str = ""
    adapter: str = ""
    temperature: float = 2.0
    weight: float = 0.5
    memory: int = 1024

    def __post_init__(self) -> None:
        if not self.teacher:
            raise SettingsError("Distillation needs a teacher: name a larger base with the option teacher.")
        if not self.temperature > 0:
            raise SettingsError(f"temperature is {self.temperature}; it must be above 0.")
        if not 0 < self.weight <= 1:
            raise SettingsError(f"weight is {self.weight}; it must be above 0 and at most 1.")
        if self.memory < 0:
            raise SettingsError(f"memory is {self.memory}; it must be at least 0.")


class Distil(Method):
    """``w T² KL(teacher ‖ student) + (1 - w) NLL``, both means over the answers' tokens of a step."""

    needs: Need = "completion"

    def __init__(self, options: DistilOptions, teacher: Teacher | None = None) -> None:
        self._options, self._teacher = options, teacher

    def start(self, run: Run) -> None:
        """Load the teacher, and see that it speaks of the same tokens."""
        if self._teacher is None:
            self._teacher = Teacher.load(self._options.teacher, self._options.adapter, self._options.memory << 20)
        self._teacher.check(run.base)

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of the mean over the tokens of a step; figures: both parts before they are weighted."""
        assert self._teacher is not None, "start comes first"
        heat, weight = self._options.temperature, self._options.weight
        student = lanes.logits(theta, batch)
        teacher, told, real = self._teacher.answers(batch)
        divergence = token_divergence(teacher[..., : student.shape[-1]], student, heat)
        divergence = (divergence * real).sum(-1) / batch.tokens
        surprise = -student.log_softmax(-1).gather(-1, told[..., None].expand(*student.shape[:2], 1))[..., 0]
        surprise = (surprise * real).sum(-1) / batch.tokens
        loss = weight * heat**2 * divergence + (1 - weight) * surprise
        return loss, {"divergence": divergence.detach(), "surprise": surprise.detach()}


def sources(options: DistilOptions) -> dict[str, str]:
    """sha256 of a teacher that lies here, and of its adapter; what is missing is said when it is loaded."""
    found, teacher = {}, Path(options.teacher).expanduser()
    if options.teacher == NANO or teacher.exists():
        found["teacher"] = base_hash(options.teacher)
    if options.adapter and (path := adapter_folder(options.adapter) / WEIGHTS).is_file():
        found["adapter"] = hash_file(path)
    return found


METHOD = MethodRecord(
    name="distil",
    label="distillation",
    about="learns a larger model's next tokens on given answers",
    needs="completion",
    options=DistilOptions,
    make=Distil,
    sources=sources,
)

__all__ = ["METHOD", "Distil", "DistilOptions"]
