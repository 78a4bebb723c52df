"""Methods of the user's own: ``path/to/file.py:factory`` becomes a method like any baseline.

The file is Python that the user wrote and asked to run. ``factory()`` returns an unfitted scikit-learn classifier; with
a ``space`` beside it (an attribute of the function, or of the file) it is called as ``factory(**params)`` and tuned
with as many trials as everything else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.method import needs_of
from benchmarks.methods.process_state import Changes
from benchmarks.methods.saved_estimator import module_name
from benchmarks.methods.user_code import EstimatorError, user_code

if TYPE_CHECKING:
    from types import ModuleType

    from optuna.distributions import BaseDistribution

    from experts.expert import Expert
    from tasks.task import TaskView

Factory = Callable[..., Any]

_OWN = re.compile(r"(?P<path>.*\.py)(?::(?P<factory>.*))?")
ANSWERS = ("predict_proba", "decision_function", "predict")
EXAMPLE = "Write it as path/to/file.py:factory, such as my/model.py:make."


class OwnMethodError(ValueError):
    """A method of the user's own that cannot be used as it is."""


def is_own(name: str) -> bool:
    """Whether a method's name is that of a Python file, with or without a function."""
    return _OWN.fullmatch(name) is not None


def own_id(name: str) -> str:
    """Name in tables: ``model.make`` of ``my/model.py:make``, wherever the file lies.

    It has a dot, which no method that comes with fairmoe has.

    Raises
    ------
    OwnMethodError
        If no function is named.
    """
    path, factory = _parts(name)
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', path.stem)}.{factory}"


def own_path(name: str) -> str:
    """The same name with the absolute path of its file, so that every worker finds it.

    Raises
    ------
    OwnMethodError
        If no function is named.
    """
    path, factory = _parts(name)
    return f"{path.expanduser().resolve()}:{factory}"


def own_hash(name: str) -> str:
    """sha256 of the file's bytes; other files that it imports are not part of it.

    Raises
    ------
    OwnMethodError
        If there is no such file.
    """
    return hashlib.sha256(_source(name)).hexdigest()


def own_source(name: str) -> dict[str, str]:
    """What a saved model says of the file behind it: its name with the function, and its sha256."""
    path, factory = _parts(name)
    return {"reads": f"{path.name}:{factory}", "sha256": own_hash(name)}


def own_state(name: str, source: Mapping[str, Any]) -> Changes:
    """Run the file that a saved model was made by, so that its classes are known; what it left of the process.

    Raises
    ------
    OwnMethodError
        If the model is not of such a file, or the file is another one than it was; nothing is run then.
    """
    if not source:
        raise OwnMethodError(f"{name!r} was named, but the model was made by no file of an own method; leave it out.")
    path, _ = _parts(name)
    if path.name != str(source["reads"]).partition(":")[0] or own_hash(name) != source["sha256"]:
        raise OwnMethodError(
            f"The model was made by {source['reads']} with sha256 {str(source['sha256'])[:12]}..., and {path}, with "
            f"{own_hash(name)[:12]}..., is another file or was changed since. Name the file as it was, or fit the "
            "method again."
        )
    return _imported(name)[1]


def check_own(methods: Iterable[str]) -> None:
    """Load every own method among ``methods``, so that what is wrong with one is said before anything is computed.

    Raises
    ------
    OwnMethodError
        See :func:`load_own`.
    """
    for method in methods:
        if is_own(method):
            load_own(method)


def load_own(name: str) -> Baseline:
    """The method behind a name, after one unfitted estimator was made to see that it works.

    Attributes of the function say more, all optional: ``space`` (parameter → Optuna distribution), ``label`` and
    ``about`` (words for the pages), ``reference``, ``fair`` (True: tuned for small gaps under the utility floor, as
    fairness methods are), ``resources`` (what it asks of a node of a cluster:
    :func:`benchmarks.methods.method.needs_of`). ``space`` may also stand in the file, for all of its functions.

    Raises
    ------
    OwnMethodError
        If there is no such file or function, the function raises, or it returns something that cannot be fitted.
    """
    factory = _factory(name)
    space = _space(name, factory)
    with _guarded(name, "its function"):
        estimator = _call(name, factory, _first(space))
        _check(name, estimator)
    return Baseline(
        label=str(getattr(factory, "label", own_id(name))),
        about=str(getattr(factory, "about", "") or _first_line(factory) or "a method of your own"),
        family="own",
        reference=str(getattr(factory, "reference", f"your file {_parts(name)[0].name}")),
        fit=lambda view, params, seed: _fit(name, factory, view, params, seed),
        space=lambda: space,
        fair=bool(getattr(factory, "fair", False)),
        sensitive_at_prediction=_takes_sensitive(estimator),
        scores_decisions=_only_decides(estimator),
        kind="own",
        resources=_resources(name, factory),
    )


def _parts(name: str) -> tuple[Path, str]:
    found = _OWN.fullmatch(name)
    if found is None or not (found["factory"] or "").isidentifier():
        raise OwnMethodError(f"The method {name!r} names no function of its file. {EXAMPLE}")
    return Path(found["path"]), found["factory"]


def _source(name: str) -> bytes:
    path = _parts(name)[0].expanduser()
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise OwnMethodError(f"There is no file {path} (asked for as the method {name!r}). {EXAMPLE}") from None


@contextmanager
def _guarded(name: str, what: str) -> Iterator[None]:
    """Around code of the file, in the state that it left when it was imported."""
    try:
        with user_code(own_id(name), what, _imported(name)[1]):
            yield
    except EstimatorError as error:
        raise OwnMethodError(str(error)) from error


def _imported(name: str) -> tuple[ModuleType, Changes]:
    """The executed file, and what it changed in the process."""
    return _module(_parts(name)[0].expanduser().resolve(), own_hash(name))


def _factory(name: str) -> Factory:
    path, wanted = _parts(name)
    module, _ = _imported(name)
    found = getattr(module, wanted, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if inspect.isfunction(value) or inspect.isclass(value)]
        own = [key for key in known if getattr(module, key).__module__ == module.__name__]
        raise OwnMethodError(
            f"{path} has no function {wanted!r}; it has {', '.join(own) or 'none'}. Name one that returns an unfitted "
            "estimator."
        )
    factory: Factory = found
    return factory


@cache
def _module(path: Path, digest: str) -> tuple[ModuleType, Changes]:
    """The executed file; run once per process and content, however many methods are in it.

    It runs as if it were started alone, without arguments.
    """
    title = module_name(path.stem, digest)
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None and spec.loader is not None  # a path that ends in .py always has a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # dataclasses and pickles look their module up
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # the files beside it, as if it were run; behind everything that is installed
    try:
        with user_code(path.name, "the import", {"arguments": [str(path)]}, seed=0) as left:
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[title]
        raise OwnMethodError(_told(path, f"{path} cannot be imported", error)) from error
    return module, left


def _space(name: str, factory: Factory) -> Mapping[str, BaseDistribution]:
    space = getattr(factory, "space", None)
    if space is None:
        space = getattr(sys.modules.get(factory.__module__), "space", None)
    if space is None:
        return {}
    from optuna.distributions import BaseDistribution

    known = isinstance(space, Mapping) and all(isinstance(key, str) for key in space)
    if not known or not all(isinstance(value, BaseDistribution) for value in space.values()):
        raise OwnMethodError(
            f"The space of the method {name!r} is no mapping of names to Optuna distributions. Write it as "
            "space = {'C': optuna.distributions.FloatDistribution(0.01, 10, log=True)}."
        )
    return dict(space)


def _resources(name: str, factory: Factory) -> Mapping[str, Any]:
    """What the function says of the machine that it needs, once it is found to be right."""
    said = getattr(factory, "resources", {})
    try:
        needs_of(said)
    except ValueError as error:
        raise OwnMethodError(f"The resources of the method {name!r} cannot be used: {error}.") from error
    return dict(said)


def _first(space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """One value of each parameter: the lowest, or the first choice."""
    return {key: value.choices[0] if hasattr(value, "choices") else value.low for key, value in space.items()}  # type: ignore[attr-defined]


def _call(name: str, factory: Factory, params: Params) -> Any:
    try:
        return factory(**params)
    except Exception as error:
        given = f" with the parameters {dict(params)}" if params else ""
        raise OwnMethodError(_told(_parts(name)[0], f"The function of {name!r} failed{given}", error)) from error


def _check(name: str, estimator: Any) -> None:
    if inspect.isclass(estimator):
        raise OwnMethodError(f"The method {name!r} returns the class {estimator.__name__}; return an instance of it.")
    if not callable(getattr(estimator, "fit", None)):
        raise OwnMethodError(
            f"The method {name!r} returns {type(estimator).__name__}, which has no fit. Return an unfitted "
            "scikit-learn classifier, or an object with fit(X, y) and predict_proba(X)."
        )
    if not any(hasattr(estimator, answer) for answer in ANSWERS):
        raise OwnMethodError(
            f"The method {name!r} returns {type(estimator).__name__}, which has neither {', '.join(ANSWERS[:2])} nor "
            "predict. Give it predict_proba(X)."
        )
    tags = getattr(estimator, "__sklearn_tags__", None)
    if callable(tags) and tags().estimator_type == "regressor":
        raise OwnMethodError(
            f"The method {name!r} returns the regressor {type(estimator).__name__}; the tasks have two classes. "
            "Return a classifier."
        )


def _takes_sensitive(estimator: Any) -> bool:
    from benchmarks.methods.estimator_expert import takes_groups  # imports torch, which naming and hashing do without

    answers = [getattr(estimator, answer, None) for answer in ANSWERS]
    return any(takes_groups(answer) for answer in answers if callable(answer))


def _only_decides(estimator: Any) -> bool:
    """Whether its answers are votes or labels: fairlearn's randomised predictors, and what has no scores at all."""
    soft = any(callable(getattr(estimator, answer, None)) for answer in ("predict_proba", "decision_function"))
    return hasattr(estimator, "_pmf_predict") or not soft


def _fit(name: str, factory: Factory, view: TaskView, params: Params, seed: int) -> Expert:
    from benchmarks.methods.estimator_expert import fit_estimator

    make = partial(_call, name, factory, params)
    source = own_source(name)
    return fit_estimator(make, view, seed, name=own_id(name), state=_imported(name)[1], source=source)


def _first_line(factory: Factory) -> str:
    lines = inspect.cleandoc(factory.__doc__ or "").splitlines()  # not an inherited one
    return lines[0].rstrip(".") if lines else ""


def _told(path: Path, what: str, error: Exception) -> str:
    """A paragraph with the error of the user's code, and the last line of the file that it passed through."""
    cause = error.__cause__ if isinstance(error, EstimatorError) and error.__cause__ is not None else error
    lines = [f.lineno for f in traceback.extract_tb(cause.__traceback__) if Path(f.filename).name == path.name]
    where = f" ({path.name}, line {lines[-1]})" if lines else ""
    said = str(error).removesuffix(".") if cause is not error else f"{type(error).__name__}: {error}"
    return f"{what}: {said}{where}. Mend the file and run again."
