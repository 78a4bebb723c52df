"""Pretraining of a miniature: the forward pass, determinism, resumption, and that something is learnt."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from llm_experts.bases.nano.architecture import new_model
from llm_experts.bases.nano.corpus import Encoder, lessons
from llm_experts.bases.nano.network import collate, rotary_tables, states_of
from llm_experts.bases.nano.optimiser import orthogonalised
from llm_experts.bases.nano.pretrain import Report, pretrain, sampled, spread_untold
from llm_experts.bases.nano.schema import bank
from llm_experts.bases.nano.settings import Shape
from tests.llm_experts.bases.nano.nano_fixtures import MINIATURE, SUBJECTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nano")
    pretrain(MINIATURE, path, SUBJECTS)
    return path


def weights_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_forward_pass_is_the_librarys_with_each_branch_a_text_of_its_own(folder: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokens = Encoder(tokenizer).encode(list(lessons(SUBJECTS, bank(), 3, 0, "test")))
    with torch.no_grad():
        states = states_of(model, collate(tokens), rotary_tables(model.config))
        for row, lesson in enumerate(tokens):
            for branch, end in enumerate(lesson.ends, start=1):
                own = (lesson.branch == 0) | (lesson.branch == branch)
                ids = torch.from_numpy(lesson.ids[own].astype(np.int64))[None]
                expected = model(input_ids=ids).logits[0, -1]
                torch.testing.assert_close(model.lm_head(states.final[row, end]), expected, atol=1e-4, rtol=1e-4)


def test_targets_are_the_tokens_that_follow(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (lesson,) = lessons(SUBJECTS, bank(), 1, 0, "test")
    (tokens,) = Encoder(tokenizer).encode([lesson])
    row = tokens.branch == 0
    assert tokenizer.decode(tokens.ids[row]) == "".join(part.text for part in lesson.parts)
    np.testing.assert_array_equal(tokens.targets[row][:-1], tokens.ids[row][1:])
    assert tokens.weights[row][-1] == 0
    for index, (question, end) in enumerate(zip(lesson.questions, tokens.ends, strict=True), start=1):
        own = tokens.branch == index
        assert tokenizer.decode(tokens.ids[own]) == "".join(part.text for part in question.parts[:-1])
        assert tokenizer.decode(tokens.targets[end]) == question.parts[-1].text
        assert tokens.positions[own].tolist() == list(range(row.sum(), row.sum() + own.sum()))


def test_the_same_settings_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    pretrain(MINIATURE, tmp_path, SUBJECTS)
    assert weights_of(tmp_path) == weights_of(folder)
    assert (tmp_path / "curve.csv").read_text() == (folder / "curve.csv").read_text()
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_another_seed_gives_other_weights(folder: Path, tmp_path: Path) -> None:
    pretrain(replace(MINIATURE, seed=1, chunks=1), tmp_path, SUBJECTS)
    assert weights_of(tmp_path) != weights_of(folder)


class Killed(Exception):
    pass


def test_a_run_that_was_killed_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    def kill(report: Report) -> None:
        if report.share > 0.5:  # in the second of three chunks
            raise Killed

    with pytest.raises(Killed):
        pretrain(MINIATURE, tmp_path / "out", SUBJECTS, work=tmp_path / "work", progress=kill)
    assert not (tmp_path / "out").exists()
    shares: list[float] = []
    pretrain(
        MINIATURE,
        tmp_path / "out",
        SUBJECTS,
        work=tmp_path / "work",
        progress=lambda report: shares.append(report.share),
    )
    assert shares[0] > 1 / 3  # the first chunk was not repeated
    assert weights_of(tmp_path / "out") == weights_of(folder)
    assert (tmp_path / "out" / "curve.csv").read_text() == (folder / "curve.csv").read_text()


def test_it_learns(tmp_path: Path) -> None:
    larger = replace(MINIATURE, shape=Shape(64, 2, 2, 1, 32, 96), chunks=20, chunk=48, exam=40)
    facts = pretrain(larger, tmp_path, SUBJECTS)
    assert facts["loss_last"] < 0.7 * facts["loss_first"]  # type: ignore[operator]
    marks = facts["examination"]["side"]  # type: ignore[index]
    assert marks["accuracy"] > marks["constant"] + 0.1
    with (tmp_path / "curve.csv").open() as stream:
        curve = list(csv.DictReader(stream))
    assert len(curve) == facts["steps"]
    assert int(curve[-1]["tokens"]) == facts["tokens"]


def test_corpora_are_read(folder: Path, tmp_path: Path) -> None:
    text = " ".join(f"Once upon a time a wombat number {i} met a fox." for i in range(60))
    (tmp_path / "story.txt").write_text(text)
    (tmp_path / "story.txt.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = ({"chunks": 1}, "story.txt"), ({"chunks": 1}, "story.txt.gz")
    found = []
    for options, name in (plain, packed):
        pretrain(replace(MINIATURE, **options), tmp_path / name[-2:], SUBJECTS, corpora=[tmp_path / name])
        found.append(weights_of(tmp_path / name[-2:]))
    assert found[0] == found[1]
    tokens = AutoTokenizer.from_pretrained(tmp_path / "gz")(" wombat").input_ids
    assert len(tokens) < len(AutoTokenizer.from_pretrained(folder)(" wombat").input_ids)


def test_positions_of_small_weight_are_predicted_at_times(folder: Path) -> None:
    tokens = Encoder(AutoTokenizer.from_pretrained(folder)).encode(list(lessons(SUBJECTS, bank(), 60, 0, "test")))
    batch = collate(tokens)
    drawn = sampled(batch, np.random.default_rng(0))
    small = (batch.weights > 0) & (batch.weights < 1)
    share = (drawn.weights[small] > 0).float().mean()
    assert float(share) == pytest.approx(float(batch.weights[small].mean()), abs=0.04)
    assert torch.equal(drawn.weights[batch.weights >= 1], batch.weights[batch.weights >= 1])
    assert not (drawn.weights[batch.weights == 0] > 0).any()
    assert not (drawn.rows & ~batch.rows).any()


def test_numbers_start_as_smooth_functions() -> None:
    config = Shape(hidden=64).config(300, 0, 1)
    table = new_model(config, 0, {token: token for token in range(100)}).model.embed_tokens.weight
    near, far = (table[30] @ table[k] / (table[30].norm() * table[k].norm()) for k in (31, 80))
    assert near > 0.6 > far


def test_muon_steps_have_singular_values_near_one() -> None:
    x = torch.randn(2, 8, 20, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(x))
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_tokens_that_were_never_foretold_can_be_told_apart() -> None:
    """What they have in common stays; rows of tokens that were foretold do not move."""
    random = torch.Generator().manual_seed(0)
    common, told = torch.full((32,), 3.0), torch.arange(40) < 10
    head = torch.where(told[:, None], torch.randn(40, 32, generator=random), common)
    before = head.clone()
    spread_untold(head, told, seed=0)
    assert torch.equal(head[told], before[told])
    spread = head[~told] - common
    torch.testing.assert_close(spread.std(), before[told].std(), rtol=0.1, atol=0)
    assert float(spread.mean().abs()) < 0.1
    nearest = torch.cdist(head[~told], head[~told]).fill_diagonal_(torch.inf).min()
    assert float(nearest) > 3


def test_the_end_of_a_text_can_be_said(folder: Path) -> None:
    """No lesson ends with it, so its row of the head is drawn: some state makes it the likeliest token."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    head = model.lm_head.weight.detach()
    towards = head[tokenizer.eos_token_id] - head.mean(0)
    assert int((head @ (20 * towards / towards.norm())).argmax()) == tokenizer.eos_token_id
