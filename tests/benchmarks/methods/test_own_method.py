"""Own methods: names, loading, what goes wrong and what is said about it, and a run with the documented example."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app
from benchmarks.methods.baseline_tuning import tune_baseline
from benchmarks.methods.own_method import OwnMethodError, is_own, load_own, own_hash, own_id, own_path
from benchmarks.methods.registry import tabular_methods
from benchmarks.run.failure import explain
from tasks.load import load_task

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "my_method.py"


def write(folder: Path, text: str, name: str = "model.py") -> str:
    """An own file, and the name of its method ``make``."""
    path = folder / name
    path.write_text(text)
    return f"{path}:make"


def test_what_is_an_own_method_and_what_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_own("my/model.py:make") and is_own("model.py") and not is_own("lightgbm")
    assert not any(is_own(method) for method in tabular_methods())
    assert own_id("my/model.py:make") == own_id("/elsewhere/model.py:make") == "model.make"
    assert own_id("my model (2).py:Make") == "my-model-2-.Make"
    monkeypatch.chdir(tmp_path)
    assert own_path("my/model.py:make") == f"{tmp_path.resolve()}/my/model.py:make"
    assert own_path(own_path("model.py:make")) == own_path("model.py:make")


def test_naming_and_hashing_need_no_torch() -> None:
    code = "import sys, benchmarks.methods.own_method; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_hash_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    first = write(tmp_path, "a = 1\n")
    (tmp_path / "there").mkdir()
    assert own_hash(first) == own_hash(write(tmp_path / "there", "a = 1\n"))
    assert own_hash(first) != own_hash(write(tmp_path, "a = 2\n"))


def test_the_example_is_loaded_with_space_and_words() -> None:
    method = load_own(f"{EXAMPLE}:make")
    assert set(method.space()) == {"depth", "leaf"}
    assert (method.label, method.about) == ("my_method.make", "Decision tree that weighs all groups alike")
    assert method.fair and not method.sensitive_at_prediction and method.family == "own"


def test_the_example_is_short() -> None:
    code = [line for line in EXAMPLE.read_text().splitlines() if line.strip()]
    assert len(code) <= 20


def test_the_example_is_fitted_and_tuned_on_a_task() -> None:
    view = load_task("scm").view()
    tuned = tune_baseline(load_own(f"{EXAMPLE}:make"), view, seed=0, trials=3, floor=0.0)
    assert len(tuned.trials) == 3 and set(tuned.params) == {"depth", "leaf"}
    margin = tuned.expert.logits(view, view.split.validation)
    assert margin.shape == view.split.validation.shape and bool(torch.isfinite(margin).all())


PLAIN = """
from sklearn.linear_model import LogisticRegression
def make():
    return LogisticRegression()
"""


def test_a_method_without_a_space_is_fitted_once_and_agrees_with_scikit_learn(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    view = load_task("scm").view()
    tuned = tune_baseline(load_own(write(tmp_path, PLAIN)), view, seed=0, trials=5, floor=0.0)
    assert not tuned.trials
    train, test = view.split.train, view.split.test
    model = LogisticRegression().fit(view.features[train].double().numpy(), view.labels[train].numpy())
    expected = model.decision_function(view.features[test].double().numpy())
    assert tuned.expert.logits(view, test).numpy() == pytest.approx(expected, abs=1e-3)


def test_a_space_of_the_file_holds_for_its_functions_and_one_of_a_function_wins(tmp_path: Path) -> None:
    name = write(
        tmp_path,
        "from optuna.distributions import FloatDistribution, CategoricalDistribution\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "space = {'C': FloatDistribution(0.1, 10.0)}\n"
        "def make(C):\n    return LogisticRegression(C=C)\n"
        "def other(solver):\n    return LogisticRegression(solver=solver)\n"
        "other.space = {'solver': CategoricalDistribution(['lbfgs', 'saga'])}\n",
    )
    assert set(load_own(name).space()) == {"C"}
    assert set(load_own(name.replace(":make", ":other")).space()) == {"solver"}


def test_it_may_import_the_files_beside_it_and_know_groups_when_it_predicts(tmp_path: Path) -> None:
    (tmp_path / "fm_test_helper.py").write_text(
        "class Model:\n"
        "    def fit(self, X, y):\n        return self\n"
        "    def predict_proba(self, X, sensitive_features):\n        raise NotImplementedError\n"
    )
    name = write(tmp_path, "from fm_test_helper import Model\ndef make():\n    return Model()\n")
    assert load_own(name).sensitive_at_prediction


def test_what_has_only_labels_or_votes_is_marked(tmp_path: Path) -> None:
    labels = (
        "class Model:\n    def fit(self, X, y):\n        return self\n    def predict(self, X):\n        return X\n"
    )
    scores = f"{labels}    def predict_proba(self, X):\n        return X\n"
    votes = f"{scores}    def _pmf_predict(self, X):\n        return X\n"
    found = [
        load_own(write(tmp_path, f"{text}def make():\n    return Model()\n")).scores_decisions
        for text in (labels, scores, votes)
    ]
    assert found == [True, False, True]


BAD = {
    "def make(:\n": "cannot be imported: SyntaxError",
    "import nothing_like_this\n": r"cannot be imported: ModuleNotFoundError: .* \(model.py, line 1\)",
    "def build():\n    return 1\nclass Tree: ...\n": "has no function 'make'; it has build, Tree",
    "def make():\n    raise KeyError('where')\n": r"failed: KeyError: 'where' \(model.py, line 2\)",
    "def make(depth):\n    return 1\n": "missing 1 required positional argument",
    "def make():\n    return 3\n": "returns int, which has no fit",
    "class A:\n    def fit(self, X, y): ...\ndef make():\n    return A()\n": "has neither predict_proba, decision",
    "from sklearn.svm import SVC\ndef make():\n    return SVC\n": "returns the class SVC; return an instance",
    "from sklearn.linear_model import Ridge\ndef make():\n    return Ridge()\n": "regressor Ridge",
    "def make(a=1): ...\nmake.space = {'a': (1, 2)}\n": "no mapping of names to Optuna distributions",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said_in_one_paragraph(tmp_path: Path, text: str) -> None:
    with pytest.raises(OwnMethodError, match=BAD[text]) as caught:
        load_own(write(tmp_path, text))
    assert explain(caught.value) == str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_function_name_are_explained(tmp_path: Path) -> None:
    for name in (f"{tmp_path}/none.py:make", f"{tmp_path}:make.py"):
        with pytest.raises(OwnMethodError, match=r"path/to/file\.py:factory"):
            own_hash(name)
    with pytest.raises(OwnMethodError, match="names no function of its file"):
        own_id("model.py")


def test_a_mended_file_is_read_again(tmp_path: Path) -> None:
    with pytest.raises(OwnMethodError):
        load_own(write(tmp_path, "def make():\n    return 3\n"))
    assert load_own(write(tmp_path, PLAIN)).label == "model.make"


def test_bench_refuses_a_broken_own_method_before_anything_is_computed(tmp_path: Path) -> None:
    name = write(tmp_path, "def make():\n    return 3\n")
    done = CliRunner().invoke(app, ["bench", "quick", "--method", name, "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, OwnMethodError)
    assert not (tmp_path / "out").exists()


def test_own_method_and_shipped_method_and_own_card_in_one_run(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sex, age = random.choice(["f", "m"], 400), random.integers(18, 70, 400)
    hired = np.where(random.normal(size=400) + (age - 40) / 20 + 0.8 * (sex == "m") > 0, "yes", "no")
    pd.DataFrame({"sex": sex, "age": age, "hired": hired}).to_csv(tmp_path / "loans.csv", index=False)
    drafted = CliRunner().invoke(app, ["data", "card", str(tmp_path / "loans.csv")])
    assert drafted.exit_code == 0, (drafted.output, drafted.exception)

    options = ["--splits", "1", "--trials", "2", "--jobs", "1", "--output", str(tmp_path / "out")]
    options += ["--task", str(tmp_path / "loans.card.toml"), "--method", f"{EXAMPLE}:make", "--method", "constant"]
    done = CliRunner().invoke(app, ["bench", "quick", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert set(table["method"]) == {"my_method.make", "constant"} and set(table["task"]) == {"loans"}
    own = table.query("method == 'my_method.make' and part == 'test' and metric == 'utility@1'")
    assert own["estimate"].item() > 0.5 and own["status"].item() == "ok"
    assert "my_method.make" in (tmp_path / "out" / "leaderboard.html").read_text()
    assert "2 finished, 0 to compute" in CliRunner().invoke(app, ["bench", "quick", *options, "--dry-run"]).output


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("7", "they are int, not a mapping"),
        ("{'ram': 4}", "'ram' is none of them"),
        ("{'cores': -1}", "'cores' is -1, and not a number of at least 0"),
        ("{'cores': True}", "'cores' is True"),
        ("{'memory_gib': float('nan')}", "'memory_gib' is nan"),
        ("{'gpus': 1.5}", "a share of one GPU"),
        ("{'custom': 3}", "'custom' is no mapping"),
        ("{'custom': {'licence': 'one'}}", "'licence' is 'one'"),
    ],
)
def test_resources_that_cannot_be_used_are_one_paragraph(tmp_path: Path, said: str, words: str) -> None:
    name = write(tmp_path, f"from sklearn.naive_bayes import GaussianNB as make\n\nmake.resources = {said}\n")
    with pytest.raises(OwnMethodError, match=words) as caught:
        load_own(name)
    assert explain(caught.value) is not None and "\n" not in str(caught.value)
