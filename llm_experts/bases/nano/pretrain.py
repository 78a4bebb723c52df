"""The pretraining of nano, from nothing: texts, tokenizer, weights. The same settings give the same bytes.

Two workers compute the gradients of two halves of each batch, each on one core: the sum is the same on every machine
with the same arithmetic, whatever its number of cores. An interrupted run goes on from its last checkpoint and ends
with the same weights.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from foundation.files import atomic_path, write_json, write_text
from foundation.seeding import numpy_generator, torch_generator
from llm_experts.bases.nano.architecture import new_model
from llm_experts.bases.nano.corpus import Encoder, Lesson, Part, Tokens, lessons
from llm_experts.bases.nano.examination import examine
from llm_experts.bases.nano.network import Batch, collate, rotary_tables, states_of
from llm_experts.bases.nano.optimiser import Optimiser
from llm_experts.bases.nano.schema import Subject, bank
from llm_experts.bases.nano.settings import Settings
from llm_experts.bases.nano.tokenizer import numbers_of, train_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

WORKERS = 2
EARLY = 0.5
SLOW = 0.2
EMBED_SLOW = 0.1
TOP_SLOW = 0.05
WARM_UP, FALL = 0.03, 0.6
"""Shares of the run in which learning rates rise and fall."""


class Report(NamedTuple):
    """How far the pretraining is: share done in [0, 1], loss per predicted token (nats), seconds so far."""

    share: float
    loss: float
    seconds: float


Progress = Callable[[Report], None]


def pretrain(
    settings: Settings,
    folder: Path,
    subjects: tuple[Subject, ...],
    *,
    corpora: Sequence[Path] = (),
    work: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, object]:
    """Pretrain a model and write it to a folder, which then loads like any other model.

    Parameters
    ----------
    settings : Settings
    folder : Path
        Gets config.json, model.safetensors, the tokenizer, curve.csv and facts.json.
    subjects : tuple of Subject
        Schemas of the cards.
    corpora : sequence of Path
        Text files (UTF-8, may be gzipped) read beside the rows.
    work : Path, optional
        Folder of checkpoints; a run that finds one there goes on from it.
    progress : callable, optional
        Called after every step.

    Returns
    -------
    dict
        The facts, see :func:`llm_experts.bases.nano.store.nano_facts`.
    """
    start = time.perf_counter()
    source = _Source(settings, subjects, corpora)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each worker has one core
    try:
        model = new_model(_config(settings, source.tokenizer), settings.seed, numbers_of(source.tokenizer))
        run = _Run(settings, model, source, work)
        run.go(start, progress)
        spread_untold(model.lm_head.weight, run.told, settings.seed)
        model.train(False)
        marks = examine(model, source.encoder, subjects, settings.exam, settings.seed)
    finally:
        torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    model.requires_grad_(False).save_pretrained(folder)
    source.tokenizer.save_pretrained(folder)
    write_text(folder / "curve.csv", _as_csv(run.curve))
    facts: dict[str, object] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(source.tokenizer),
        "tokens": run.tokens,
        "steps": len(run.curve),
        "loss_first": float(np.mean([point.loss for point in run.curve[:5]])),
        "loss_last": float(np.mean([point.loss for point in run.curve[-20:]])),
        "examination": marks,
        "seconds": round(run.seconds, 1),
        "settings": asdict(settings),
    }
    write_json(folder / "facts.json", facts)
    return facts


class Point(NamedTuple):
    """One step of the loss curve: tokens read so far, losses in nats per predicted token, of answers alone."""

    step: int
    tokens: int
    loss: float
    answer_loss: float


def _as_csv(curve: Sequence[Point]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows((p.step, p.tokens, f"{p.loss:.6g}", f"{p.answer_loss:.6g}") for p in curve)
    return out.getvalue()


def _config(settings: Settings, tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    return settings.shape.config(len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)


class _Source:
    """The texts: a tokenizer trained on the first of them, and chunks of tokens by number."""

    def __init__(self, settings: Settings, subjects: tuple[Subject, ...], corpora: Sequence[Path]) -> None:
        self._settings, self._subjects, self._extra = settings, subjects, bank()
        self._passages = [passage for path in corpora for passage in passages(path)]
        first = [text_of(lesson) for lesson in self._lessons(min(settings.chunk, 480), "spelling")]
        self.tokenizer = train_tokenizer([*first, *self._passages[:600]], subjects, settings.vocabulary)
        self.encoder = Encoder(self.tokenizer)

    def _lessons(self, count: int, stream: str) -> Iterator[Lesson]:
        return lessons(self._subjects, self._extra, count, self._settings.seed, stream)

    def batches(self, chunk: int) -> list[list[list[Tokens]]]:
        """Batches of a chunk in the order of training, each in ``WORKERS`` parts of like size."""
        read = list(self._lessons(self._settings.chunk, f"chunk {chunk}"))
        random = numpy_generator(self._settings.seed, "order", chunk)
        if self._passages:
            chosen = random.integers(len(self._passages), size=self._settings.chunk // 10)
            read += [Lesson((Part(self._passages[i], 1.0),), ()) for i in chosen]
        tokens = sorted(self.encoder.encode(read), key=len)
        parts = list(_parts(tokens, self._settings.batch_tokens // WORKERS))
        groups = [parts[i : i + WORKERS] for i in range(0, len(parts), WORKERS)]
        return [groups[i] for i in random.permutation(len(groups))]


def _parts(tokens: list[Tokens], limit: int) -> Iterator[list[Tokens]]:
    """Lessons, sorted by length, in parts of at most ``limit`` tokens with padding."""
    part: list[Tokens] = []
    for lesson in tokens:
        if part and (len(part) + 1) * len(lesson) > limit:
            yield part
            part = []
        part.append(lesson)
    yield part


def passages(path: Path, words: int = 90) -> list[str]:
    """A text file in passages of so many words."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8").split(" ")
    return [" ".join(text[i : i + words]) for i in range(0, len(text), words)]


def text_of(lesson: Lesson) -> str:
    """A lesson as one text, branches one after another."""
    return "".join(p.text for part in (lesson.parts, *(q.parts for q in lesson.questions)) for p in part)


class _Run:
    """The training loop."""

    def __init__(self, settings: Settings, model: Qwen3ForCausalLM, source: _Source, work: Path | None) -> None:
        self._settings, self._model, self._source, self._work = settings, model, source, work
        self._parameters = dict(model.named_parameters())
        last = f".{model.config.num_hidden_layers - 1}."
        slow = {
            n: SLOW for n in self._parameters if n.endswith(("o_proj.weight", "down_proj.weight")) and last not in n
        }
        slow |= {name: TOP_SLOW for name in self._parameters if last in name}
        slow["model.embed_tokens.weight"] = EMBED_SLOW
        self._optimiser = Optimiser(self._parameters, settings.matrix_rate, settings.rate, slow)
        self._answers = torch.tensor(source.encoder.answer_ids)
        self._tables = rotary_tables(model.config)
        self.told = torch.zeros(model.config.vocab_size, dtype=torch.bool)
        self.curve: list[Point] = []
        self.tokens = 0
        self.seconds = 0.0

    def go(self, start: float, progress: Progress | None) -> None:
        """All chunks from the last checkpoint on."""
        first = self._resume()
        earlier = self.seconds
        with ThreadPoolExecutor(WORKERS) as pool:
            for chunk in range(first, self._settings.chunks):
                batches = self._source.batches(chunk)
                for index, parts in enumerate(batches):
                    share = (chunk + (index + 1) / len(batches)) / self._settings.chunks
                    self._step(pool, parts, share, chunk, index)
                    self.seconds = earlier + time.perf_counter() - start
                    if progress is not None:
                        progress(Report(share, self.curve[-1].loss, self.seconds))
                self._checkpoint(chunk + 1)

    def _step(self, pool: ThreadPoolExecutor, parts: list[list[Tokens]], share: float, chunk: int, index: int) -> None:
        random = numpy_generator(self._settings.seed, "positions", chunk, index)
        batches = [sampled(collate(part), random) for part in parts]
        total = sum(float(batch.weights.sum()) for batch in batches)
        for batch in batches:
            self.told[batch.targets[batch.weights > 0]] = True
        found = list(pool.map(lambda batch: self._gradients(batch, total), batches))
        gradients = {
            name: torch.stack(each).sum(0) if len(each) > 1 else each[0]
            for name, each in zip(self._parameters, zip(*(f.gradients for f in found), strict=True), strict=True)
        }
        rising, falling = share / WARM_UP, (1 - share) / FALL
        self._optimiser.step(gradients, max(0.01, min(1.0, rising, falling)))
        self.tokens += sum(map(len, (lesson for part in parts for lesson in part)))
        loss = sum(f.loss for f in found) / sum(f.positions for f in found)
        answers = sum(f.answer_loss for f in found) / max(1, sum(f.answers for f in found))
        self.curve.append(Point(len(self.curve) + 1, self.tokens, loss, answers))

    def _gradients(self, batch: Batch, total: float) -> _Gradients:
        with torch.enable_grad():
            states = states_of(self._model, batch, self._tables)
            asked = batch.weights > 0
            logits = (
                torch.where(batch.rows[..., None], states.early, states.final)[asked] @ self._model.lm_head.weight.T
            )
            each = cross_entropy(logits, batch.targets[asked], reduction="none")
            weights = batch.weights[asked]
            gradients = torch.autograd.grad((each * weights).sum() / total, list(self._parameters.values()))
        each, answers = each.detach(), torch.isin(batch.targets[asked], self._answers)
        return _Gradients(gradients, float(each.sum()), len(each), float(each[answers].sum()), int(answers.sum()))

    def _checkpoint(self, chunk: int) -> None:
        if self._work is None:
            return
        from safetensors.torch import save_file

        tensors = {f"weight.{name}": p.detach().contiguous() for name, p in self._parameters.items()}
        tensors |= {f"state.{name}": t for name, t in self._optimiser.state.items()} | {"told": self.told}
        notes = {"chunk": chunk, "tokens": self.tokens, "seconds": self.seconds, "curve": self.curve}
        with atomic_path(self._work / "checkpoint.safetensors") as path:
            save_file(tensors, path, metadata={"notes": json.dumps(notes)})

    def _resume(self) -> int:
        """The chunk to go on with."""
        path = self._work / "checkpoint.safetensors" if self._work else None
        if path is None or not path.is_file():
            return 0
        from safetensors import safe_open

        with safe_open(path, "pt") as file, torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(file.get_tensor(f"weight.{name}"))
            for name, tensor in self._optimiser.state.items():
                tensor.copy_(file.get_tensor(f"state.{name}"))
            self.told.copy_(file.get_tensor("told"))
            notes = json.loads(file.metadata()["notes"])
        self.tokens, self.seconds = notes["tokens"], notes["seconds"]
        self.curve = [Point(*point) for point in notes["curve"]]
        return int(notes["chunk"])


class _Gradients(NamedTuple):
    """Gradients of one part of a batch, and sums of its losses."""

    gradients: tuple[Tensor, ...]
    loss: float
    positions: int
    answer_loss: float
    answers: int


@torch.no_grad()
def spread_untold(head: Tensor, told: Tensor, seed: int) -> None:
    """Tell tokens apart that no text of the pretraining had to foretell, such as the end of a text; in place.

    Their rows of the head were only ever pushed away from what was foretold, all by the same gradient: an adapter,
    which leaves the head as it is, could never single one out (the likeliest that ``<|end|>`` could become was e⁻⁷).
    What they have in common stays, so that they are as unlikely as before on rows; what they do not is drawn anew, as
    large as in the rows of other tokens.

    Parameters
    ----------
    head : [V, d] float32
    told : [V] bool
        Tokens that were foretold.
    seed : int
    """
    if bool(told.all()):
        return
    known = head[told] if bool(told.any()) else head
    size = (known - known.mean(0)).square().mean().sqrt()
    noise = torch.randn(int((~told).sum()), head.shape[1], generator=torch_generator(seed, "nano", "untold"))
    head[~told] = head[~told].mean(0) + size * noise


def sampled(batch: Batch, random: np.random.Generator) -> Batch:
    """Predict a position of weight w < 1 with probability w, at weight 1: the same in expectation, for less work.

    What follows in a row is foretold from the states that enter the last layer (half of the positions) and from the
    final ones: an adapter of the last layer finds in its input what each column says.
    """
    drawn, early = (torch.from_numpy(random.random(batch.weights.shape, dtype=np.float32)) for _ in range(2))
    weights = torch.where(drawn < batch.weights, batch.weights.clamp(min=1.0), 0.0)
    return batch._replace(weights=weights, rows=batch.rows & (early < EARLY))
