"""The interface of lm-evaluation-harness over a base or a composition: its tasks can be asked of our experts.

Texts are cut into tokens, and long ones into windows, as the harness's own model class does (``HFLM``), so that numbers
can be set beside those of others. The harness itself need not be installed but for :func:`harness_model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llm_experts.evaluation.answers import generated
from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.likelihood import Likelihood, likelihoods
from llm_experts.evaluation.store import AnswerStore
from llm_experts.runtime.generation import Generation
from llm_experts.runtime.resident import ResidentBase
from llm_experts.runtime.sampling import Sampling

LONGEST = 256
"""Most tokens of an answer where a task does not say, as in the harness."""


class Harness:
    """Answers the three questions of the harness.

    Parameters
    ----------
    on : ResidentBase
        Knows the adapters of the candidate.
    candidate : Candidate
    batch : int
        Requests at once.
    """

    def __init__(self, on: ResidentBase, candidate: Candidate, batch: int = 16) -> None:
        self._on, self._candidate, self._batch = on, candidate, batch
        self._tokenizer: Any = on.base.tokenizer
        with on.lease([candidate.composition]):
            self._room = on.base.context - on.prefix(candidate.composition).length
        marks = (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id)
        first = next((mark for mark in marks if mark is not None), None)
        if first is None:
            raise EvaluationError(f"{on.base.id} has no token that begins or ends a text, and the harness needs one.")
        self._first = int(first)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        """Log-probability of each continuation given its context, and whether greedy generation would say it."""
        found = self._likelihoods([self._cut(*self.encode_pair(*pair)) for pair in pairs])
        return [(one.log_prob, one.greedy) for one in found]

    def loglikelihood_rolling(self, texts: Sequence[str]) -> list[float]:
        """Log-probability of each whole text; a long one in windows, each token predicted once."""
        windows = [list(rolling(self._encode(text), self._first, self._room)) for text in texts]
        found = iter(self._likelihoods([pair for some in windows for pair in some]))
        return [sum(next(found).log_prob for _ in some) for some in windows]

    def generate_until(self, requests: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Continuation of each context up to a stop text; contexts too long lose their beginning."""
        wanted = [(str(k), self._generation(str(k), *request)) for k, request in enumerate(requests)]
        found = generated(self._on, self._candidate, wanted, AnswerStore(), self._batch, None)
        return [found[id].text for id, _ in wanted]

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Tokens of a context and of what follows it; blanks at the border belong to the latter."""
        blanks = len(context) - len(context.rstrip())
        if blanks and context.rstrip():
            continuation, context = context[-blanks:] + continuation, context[:-blanks]
        if not context:
            return [self._first], self._encode(continuation)
        before = self._encode(context)
        return before, self._encode(context + continuation)[len(before) :]

    def _encode(self, text: str) -> list[int]:
        return [int(token) for token in self._tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _cut(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        return context[-max(1, self._room + 1 - len(continuation)) :], continuation

    def _likelihoods(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Likelihood]:
        return likelihoods(self._on, self._candidate.composition, pairs)

    def _generation(self, id: str, context: str, told: Mapping[str, Any]) -> Generation:
        until = told.get("until") or ()
        stops = (until,) if isinstance(until, str) else tuple(text for text in until if text)
        most = int(told.get("max_gen_toks", LONGEST))
        drawn = bool(told.get("do_sample", False))
        sampling = Sampling(
            max_new_tokens=most, stop=stops, temperature=float(told.get("temperature", 1.0)) if drawn else 0.0,
            top_p=float(told.get("top_p", 1.0)), top_k=int(told.get("top_k", 0)), seed=0 if drawn else None,
        )  # fmt: skip
        if most >= self._room:
            raise EvaluationError(
                f"A task asks for answers of up to {most} tokens, and {self._on.base.id} takes {self._room} with the "
                "prompt; give the task a smaller max_gen_toks, or use a base that takes longer texts."
            )
        ids = self._encode(context) or [self._first]
        return Generation(id, tuple(ids[-(self._room - most) :]), self._candidate.composition, sampling)


def rolling(tokens: Sequence[int], first: int, room: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Windows (context, predicted) over a text: each token is predicted once, with as much context as fits.

    Parameters
    ----------
    tokens : sequence of int
    first : int
        Stands before the text.
    room : int
        Most tokens that are read at once.
    """
    done = min(room, len(tokens))
    if done:
        yield [first], tokens[:done]
    while done < len(tokens):
        count = min(len(tokens) - done, room)
        end = done + count
        yield tokens[end - room - 1 : end - count], tokens[end - count : end]
        done = end


def harness_model(harness: Harness) -> Any:
    """A model for ``lm_eval.simple_evaluate``.

    Raises
    ------
    EvaluationError
        If lm-evaluation-harness is not installed.
    """
    try:
        from lm_eval.api.model import LM
    except ImportError as error:
        raise EvaluationError(
            f"lm-evaluation-harness cannot be imported ({error}). Install it where fairmoe is: pip install lm_eval."
        ) from error

    class FairmoeLM(LM):  # type: ignore[misc]
        """Hands the harness's requests on."""

        def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
            return harness.loglikelihood([request.args for request in requests])

        def loglikelihood_rolling(self, requests: Any) -> list[float]:
            return harness.loglikelihood_rolling([request.args[0] for request in requests])

        def generate_until(self, requests: Any) -> list[str]:
            return harness.generate_until([request.args for request in requests])

    return FairmoeLM()
