"""How fast answers are scored: ``python -m benchmarks.speed verbaliser [--base ID] [--rounds N] [--output FILE]``.

Rows in, probabilities out, on all sides. Ours: packed prompts (both orders of the options behind one text, phrases
tokenised once), the last layer for the answer tokens only, two rows of the language-model head. Baselines, each on the
two texts per row that the orders make, tokenised, sorted by length and batched: one generated token with its scores,
logits of the whole vocabulary at all positions, and logits of the whole vocabulary at the last position. CPU time, one
thread, A B A B, medians; on ``nano`` and on a random model of nano's shape with the vocabulary of Qwen 3.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.speed.timing import interleaved
from foundation.files import write_json
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.prompts.batches import length_batches
from llm_experts.reading.reader import Reader
from tasks.load import load_task
from tasks.task import TaskView

BATCH_TOKENS = 1 << 12
ROWS, ROWS_OF_MANY_WORDS = 200, 48
VOCABULARY = 151_936
LOGIT_FLOATS = 1 << 26
"""Logits of all positions that a baseline holds at once, 256 MiB."""
GOALS = {"generate": 3.0, "all positions": 3.0, "last position": 1.0}
TOLERANCE = 1e-5

Ask = Callable[[Any, Tensor, Tensor], Tensor]
"""Model, ids and attention mask [m, T] -> [m, V] logits of the last position."""


@dataclass(frozen=True)
class Case:
    """Rows of a task, and who reads them."""

    reader: Reader
    view: TaskView
    rows: Tensor

    @property
    def answer_ids(self) -> list[int]:
        """Token ids of no and yes."""
        return list(self.reader.prompts(self.view).answer_ids)

    def texts(self) -> tuple[list[Tensor], list[int]]:
        """Tokens of both prompts of every row, sorted by length, and the place of each: 2 · row + order."""
        prompts, tokenizer = self.reader.prompts(self.view), self.reader.base.tokenizer
        both = zip(*(prompts.text_of(self.view, self.rows, order=order) for order in (0, 1)), strict=True)
        ids = tokenizer([text for pair in both for text in pair])["input_ids"]
        places = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        return [torch.tensor(ids[place]) for place in places], places


@dataclass(frozen=True)
class Measurement:
    """One line of the table; seconds are for all rows."""

    base: str
    data: str
    rows: int
    tokens: float
    baseline: str
    ours: float
    theirs: float
    ratio: float
    goal: float
    difference: float


def make_case(base: Base, task: str) -> Case:
    """Validation rows of a task."""
    view = load_task(task).view()
    rows = ROWS if base.model.config.vocab_size < VOCABULARY else ROWS_OF_MANY_WORDS
    return Case(Reader(base), view, view.split.validation[:rows])


def ours(case: Case) -> Tensor:
    """[n] probability of yes between the two words, from the mean margin of the orders; nothing is remembered."""
    case.reader.forget()
    return torch.sigmoid(case.reader.margins([None], case.view, case.rows)[0])


def baseline(case: Case, ask: Ask, tokens: int) -> Tensor:
    """The same from full-vocabulary logits of left-padded texts."""
    texts, places = case.texts()
    found = torch.empty(len(texts))
    for batch in length_batches([len(text) for text in texts], tokens):
        logits = ask(case.reader.base.model, *left_padded(texts[batch]))[:, case.answer_ids].float()
        found[places[batch]] = logits[:, 1] - logits[:, 0]
    return torch.sigmoid(found.view(-1, 2).mean(1))


def left_padded(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """[m, T] ids and attention mask."""
    width = max(map(len, texts))
    pads = [torch.nn.functional.pad(text, (width - len(text), 0)) for text in texts]
    lengths = torch.tensor([len(text) for text in texts])
    return torch.stack(pads), (torch.arange(width) >= width - lengths[:, None]).long()


@torch.no_grad()
def generated(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """[m, V] scores that one generated token is drawn from."""
    made = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=1,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        pad_token_id=0,
    )
    scores: Tensor = made.scores[0]
    return scores


@torch.no_grad()
def all_positions(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """[m, V] logits of the last position, computed with those of all others."""
    logits: Tensor = model(**forward_inputs(ids, mask)).logits[:, -1]
    return logits


@torch.no_grad()
def last_position(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """[m, V] logits of the last position."""
    logits: Tensor = model(**forward_inputs(ids, mask), logits_to_keep=1).logits[:, -1]
    return logits


def forward_inputs(ids: Tensor, mask: Tensor) -> dict[str, Any]:
    """What a forward pass of left-padded texts is called with."""
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "use_cache": False}


def measure(name: str, base: Base, task: str, rounds: int) -> list[Measurement]:
    """Ours against every baseline on the same prompts."""
    case = make_case(base, task)
    bounded = min(BATCH_TOKENS, LOGIT_FLOATS // base.model.config.vocab_size)
    sides: dict[str, tuple[Ask, int]] = {
        "generate": (generated, BATCH_TOKENS),
        "all positions": (all_positions, bounded),
        "last position": (last_position, BATCH_TOKENS),
    }
    tokens = float(case.reader.pack(case.view, case.rows).lengths.float().mean())
    lines = []
    for label, (ask, size) in sides.items():
        timed = interleaved(lambda: ours(case), partial(baseline, case, ask, size), rounds)
        difference = float((ours(case) - baseline(case, ask, size)).abs().max())
        numbers = (timed.median_a, timed.median_b, timed.ratio, GOALS[label], difference)
        lines.append(Measurement(name, task, len(case.rows), tokens, label, *numbers))
    return lines


def with_vocabulary(base: Base, size: int, seed: int = 0) -> Base:
    """A random model of a base's shape with another vocabulary; texts keep the base's tokens."""
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config

    config = type(base.model.config).from_dict({**base.model.config.to_dict(), "vocab_size": size})
    with torch.random.fork_rng(devices=[]):
        model = make(config, attn_implementation="sdpa").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for _, weight in sorted(model.named_parameters()):
        if weight.ndim == 2:
            weight.copy_(torch.randn(weight.shape, generator=generator) / weight.shape[1] ** 0.5)
    return dataclasses.replace(base, id=f"random, {size:,} words", model=model, hash=f"random {seed}")


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="nano", help="base whose tokenizer and shape are used (default nano)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds per side (default 5)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    base = load_base(arguments.base)
    bases = {arguments.base: base, f"random, {VOCABULARY:,} words": with_vocabulary(base, VOCABULARY)}
    lines = [
        line
        for name, one in bases.items()
        for task in ("german", "adult:sex")
        for line in measure(name, one, task, arguments.rounds)
    ]
    heads = ("base", "data", "rows", "tokens", "baseline", "ours, s", "baseline, s", "ratio", "goal", "|Δ probability|")
    table = Table(*heads)
    for line in lines:
        seconds = (f"{line.ours:.3f}", f"{line.theirs:.3f}", f"{line.ratio:.1f}x", f"{line.goal:.0f}x")
        sizes = (line.base, line.data, str(line.rows), f"{line.tokens:.0f}")
        table.add_row(*sizes, line.baseline, *seconds, f"{line.difference:.1e}")
    Console(width=160).print(table)
    if arguments.output:
        write_json(arguments.output, {"threads": 1, "measurements": [asdict(line) for line in lines]})
        print(f"Written to {arguments.output}")
    wrong = [line for line in lines if line.difference > TOLERANCE]
    if wrong:
        raise SystemExit(f"{len(wrong)} measurements differ by more than {TOLERANCE:g} in probability.")


if __name__ == "__main__":
    main()
