"""The engine on installed experts: text and rows by name, packages and folders, revoked and uninstalled ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from artefacts.registry.error import RegistryError
from artefacts.registry.registry import Registry
from artefacts.trust.store import TrustStore
from benchmarks.models import ModelError, load_expert, open_engine
from benchmarks.models.engine import told
from foundation.home import home
from llm_experts.adapters.error import AdapterError
from llm_experts.bases.load import load_base
from llm_experts.runtime.sampling import Sampling
from serving.error import ServingError
from serving.router import ExpertProfile, Router, RouterConfig, RouterError
from serving.router.evaluation.fit import with_calibrated
from serving.router.installed import installed_profiles
from serving.router.policies.calibrated import CalibratedPolicy
from serving.router.states import base_state
from tests.benchmarks.models.engine_fixtures import Shop
from tests.llm_experts.conftest import make_tiny_base

SHORT = Sampling(max_new_tokens=4, ignore_eos=True)


def test_installed_experts_answer_text_and_rows(shop: Shop) -> None:
    shop.install()
    with open_engine(shop.base, allow_untrusted=True) as engine:
        infos = {info.name: info for info in engine.models()}
        assert {name: info.kind for name, info in infos.items()} == {
            "base": "base", "auto": "auto", "law": "adapter", "med": "adapter", "own-trees": "rows",
        }  # fmt: skip
        routed = engine.infer("Read this contract.", sampling=SHORT)
        assert [name for name, _ in routed.experts] == ["law"]
        base = engine.infer("Read this contract.", experts=None, sampling=SHORT)
        assert base.experts == ()
        answer = engine.infer(rows=shop.rows)
        assert answer.rows is not None
        wanted = load_expert("own-trees", allow_untrusted=True).predict_proba(shop.rows)[:, 1]
        assert answer.rows.probabilities == pytest.approx(wanted.tolist(), abs=1e-9)
        audit = answer.rows.audit
        assert (audit.expert, audit.version, audit.trust) == ("own-trees", "1.0.0", "unsigned")
        assert audit.content == Registry.of_user().record("own-trees").manifest
        with pytest.raises(ServingError, match="lack the column"):
            engine.infer(rows=shop.rows.drop(columns=["hours"]), experts=["own-trees"])


def test_what_is_installed_and_uninstalled_meanwhile_is_noticed(shop: Shop) -> None:
    registry = shop.install("law")
    with open_engine(shop.base, allow_untrusted=True) as engine:
        with pytest.raises(ServingError) as caught:
            engine.infer("?", experts=["med"], sampling=SHORT)
        assert caught.value.reason == "unknown-expert"
        shop.install("med")
        assert engine.infer("Fever and more fever", sampling=SHORT).experts[0][0] == "med"
        registry.uninstall(["med"])
        with pytest.raises(ServingError) as caught:
            engine.infer("?", experts=["med"], sampling=SHORT)
        assert caught.value.reason == "expert-gone"
        assert engine.infer("Fever and more fever", sampling=SHORT).experts == ()


def test_feedback_is_kept_for_the_next_engine(shop: Shop) -> None:
    shop.install("law")
    with open_engine(shop.base, allow_untrusted=True) as engine:
        engine.feedback(engine.infer("A contract.", sampling=SHORT).id, won=True)
    assert "law" in (home() / "router" / "outcomes.json").read_text(encoding="utf-8")


@pytest.fixture
def saved_router(shop: Shop, tmp_path: Path) -> Path:
    """A router fitted on words that no manifest names and on hidden states of the shop's base."""
    shop.install("law")
    texts = [f"{word} number {n}" for n in range(4) for word in ("gavel", "banana")]
    labels = ["law", "base"] * 4
    state = base_state(load_base(str(shop.base)))
    states = torch.stack([state(text) for text in texts])
    policy = CalibratedPolicy.fit(texts, labels, installed_profiles(Registry.of_user()), states, strength=100)
    profiles = [ExpertProfile("law"), ExpertProfile("gone")]
    router = Router.of(profiles, with_calibrated(RouterConfig()), fitted=[policy], states_of=state.of)
    router.save(tmp_path / "router")
    return tmp_path / "router"


def test_a_saved_router_chooses_among_what_is_installed_now(shop: Shop, saved_router: Path) -> None:
    with open_engine(shop.base, router=saved_router, allow_untrusted=True) as engine:
        answer = engine.infer("gavel number 9", sampling=SHORT)
        assert [name for name, _ in answer.experts] == ["law"]
        assert answer.route is not None
        assert answer.route.policy == "calibrated"
        assert engine.infer("banana number 9", sampling=SHORT).experts == ()
        shop.install("med")
        assert "med" in engine._router().profiles  # type: ignore[union-attr]
        Registry.of_user().uninstall(["law"])
        assert engine.infer("gavel number 9", sampling=SHORT).experts == ()


def test_a_config_decides_how_experts_are_chosen(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "router.toml").write_text("threshold = 0.99\n", encoding="utf-8")
    shop.install("law")
    with open_engine(shop.base, router=tmp_path / "router.toml", allow_untrusted=True) as engine:
        answer = engine.infer("Read this contract.", sampling=SHORT)
        assert answer.experts == () and "not likely enough" in answer.why
    (tmp_path / "router.toml").write_text("treshold = 0.99\n", encoding="utf-8")
    with pytest.raises(RouterError, match="Did you mean 'threshold'"):
        open_engine(shop.base, router=tmp_path / "router.toml")


def test_a_saved_router_of_another_base_is_refused_at_once(saved_router: Path) -> None:
    with pytest.raises(RouterError, match=r"fitted on hidden states of \w+ \(\w{12}\), and these are of tiny \("):
        open_engine(make_tiny_base(layers=1, hidden=32, seed=5), router=saved_router)
    facts = json.loads((saved_router / "router.json").read_text(encoding="utf-8"))
    del facts["states"]  # as routers were saved that do not know
    (saved_router / "router.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(RouterError, match=r"the hidden state has 16 numbers, .* fitted on 32"):
        open_engine(make_tiny_base(layers=1, hidden=16), router=saved_router)
    with pytest.raises(RouterError, match="no router that can be read"):
        open_engine(make_tiny_base(layers=1, hidden=16), router=saved_router.parent)


def test_a_package_says_how_text_is_generated_unless_the_request_does(shop: Shop) -> None:
    with open_engine(shop.base, [str(shop.packages["law"])], allow_untrusted=True) as engine:
        assert engine.infer("A contract").usage.completion_tokens == 3
        assert engine.infer("A contract", sampling=SHORT).usage.completion_tokens == 4


def test_a_base_takes_longer_texts_if_asked(shop: Shop) -> None:
    with open_engine(shop.base, [], rope_scaling="yarn:4") as engine:
        long = "a b c d e f g h " * 100
        assert engine.infer(long, experts=None, sampling=SHORT).usage.prompt_tokens > 1024
    with open_engine(shop.base, []) as engine, pytest.raises(ServingError, match="tokens"):
        engine.infer(long, experts=None, sampling=SHORT)


def test_a_revoked_or_changed_package_is_not_asked(shop: Shop) -> None:
    registry = shop.install("law", "med")
    TrustStore(home()).revoke(registry.record("law").package, "it lies")
    weights = next(registry.folder("med").rglob("*.safetensors"))
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with open_engine(shop.base) as engine:
        for name, text in (("law", "it lies"), ("med", "has been changed")):
            with pytest.raises(ServingError, match=text):
                engine.infer("?", experts=[name], sampling=SHORT)
        assert [info.name for info in engine.models()] == ["base", "auto"]


def test_files_and_folders_may_be_named(shop: Shop) -> None:
    named = [str(shop.packages["law"]), str(shop.packages["own-trees"]), f"{shop.base.parent / 'med'}"]
    with pytest.raises(RegistryError, match="untrusted-unsigned"):
        open_engine(shop.base, named)
    with open_engine(shop.base, named, allow_untrusted=True) as engine:
        assert [info.name for info in engine.models()] == ["base", "auto", "law", "med", "own-trees"]
        assert engine.infer("?", experts={"law": 0.5, "med": 0.5}, sampling=SHORT).text is not None
        assert engine.infer(rows=shop.rows).rows is not None


def test_without_a_base_rows_alone_are_answered(shop: Shop) -> None:
    shop.install()
    with open_engine(None, allow_untrusted=True) as engine:
        assert [info.name for info in engine.models()] == ["own-trees"]
        with pytest.raises(ServingError) as caught:
            engine.infer("?")
        assert caught.value.reason == "no-base"
        with pytest.raises(ServingError) as caught:
            engine.load("law")
        assert caught.value.reason == "no-base"


def test_names_that_are_not_there_are_told_at_once(shop: Shop, tmp_path: Path) -> None:
    shop.install("law")
    with pytest.raises(RegistryError, match=r"there is law\. Install it"):
        open_engine(shop.base, ["nobody"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="neither an adapter nor a saved model"):
        open_engine(shop.base, [str(tmp_path / "empty")])


def test_errors_of_ours_are_told_and_faults_of_the_program_are_not() -> None:
    assert told(AdapterError("too  large\n")) == "too large"
    assert told(ValueError("x must be y")) is None
    assert told(KeyError("x")) is None
