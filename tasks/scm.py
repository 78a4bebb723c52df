"""A structural causal model with known bias: the task whose truth is known.

Applicants for a job. With s = 1 for women, and independent noise u1..u5 ~ N(0, 1), f uniform on three fields::

    s            ~ Bernoulli(share)
    experience   = 8 + 3 u1                     years                        legitimate
    test_score   = 60 + 12 u2                   points                       legitimate
    field        = f                            engineering, health, trade   legitimate
    part_time    = 2 u3 + 10 + 2 proxy s        months                       proxy: moved by s
    commute      = 30 + 9 u4                    minutes                      irrelevant

    fair margin      m* = b + 1.2 (experience - 8)/3 + 0.8 (test_score - 60)/12 + c_f - w u3,  w = 0.5
    biased margin    m  = m* - direct s - w proxy s
    unbiased label   Y* = [u5 < m*]             u5 ~ Logistic(0, 1), so P(Y* = 1 | x) = sigmoid(m*)
    decided label    Y0 = [u5 < m]
    historic label   Y  = Y0, but 0 with probability label_bias where s = 1 and Y0 = 1

``direct`` is direct discrimination, ``proxy`` is discrimination through a mediator, ``label_bias`` is wrong labels.
With all three 0 the label is independent of s. The counterfactual of a row changes s and what s causes (part_time),
and keeps all noise: Pearl, Causality, 2009, chapter 7; Kusner et al., Counterfactual Fairness, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation.refusals import faults_of
from foundation.seeding import numpy_generator
from tasks.card import DataError

FIELDS = ("engineering", "health", "trade")
_FIELD_EFFECT = np.array([0.4, 0.0, -0.4])
_PROXY_WEIGHT = 0.5
SEX = ("male", "female")


class ScmParameters(BaseModel):
    """Parameters of the model, the [generator] block of its card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(default=4000, ge=20)
    seed: int = 0
    share: float = Field(default=0.4, gt=0, lt=1, description="share of women")
    direct: float = Field(default=0.8, description="margin that women lose for being women")
    proxy: float = Field(default=1.0, description="by how many deviations s moves the proxy")
    label_bias: float = Field(
        default=0.1, ge=0, le=1, description="share of women's positive labels recorded as negative"
    )
    intercept: float = 0.2


@dataclass(frozen=True)
class ScmTruth:
    """What only the maker of the data knows; all arrays are [n].

    Attributes
    ----------
    frame : DataFrame
        The published columns, the sensitive one (sex) and the label (hired) included.
    counterfactual : DataFrame
        The feature columns of the same persons, had their sex been the other one (all noise kept).
    sensitive : int64
        1 for women.
    label, unbiased_label : int64
        Y and Y*.
    probability, counterfactual_probability, unbiased_probability : float64
        P(Y = 1 | all features), the same for the counterfactual rows, and P(Y* = 1 | legitimate causes).
    """

    frame: pd.DataFrame
    counterfactual: pd.DataFrame
    sensitive: np.ndarray
    label: np.ndarray
    unbiased_label: np.ndarray
    probability: np.ndarray
    counterfactual_probability: np.ndarray
    unbiased_probability: np.ndarray


def generate(parameters: Mapping[str, Any] | None = None, seed: int | None = None) -> pd.DataFrame:
    """The published table of the model: features and the historic label ``hired``."""
    return scm_truth(parameters, seed).frame


def scm_truth(parameters: Mapping[str, Any] | None = None, seed: int | None = None) -> ScmTruth:
    """Draw the model and keep everything that is usually unknown.

    Parameters
    ----------
    parameters : mapping, optional
        Fields of :class:`ScmParameters`, such as ``{"direct": 0, "proxy": 0, "label_bias": 0}``: no bias.
    seed : int, optional
        Replaces the seed of the parameters.

    Raises
    ------
    DataError
        If a parameter is unknown or out of range.
    """
    try:
        p = ScmParameters.model_validate({**(parameters or {}), **({} if seed is None else {"seed": seed})})
    except ValidationError as error:
        faults = faults_of(error, ScmParameters.model_fields)
        raise DataError(f"The simulated task cannot be made: {faults}. Correct [generator] in its card.") from error
    random = numpy_generator(p.seed, "scm")
    s = (random.random(p.rows) < p.share).astype(np.int64)
    columns = _causes(p.rows, random)
    margins = _margin(p, columns, s), _margin(p, columns, 1 - s), _margin(p, columns, None)
    noise = random.logistic(size=p.rows)
    denied = (s == 1) & (random.random(p.rows) < p.label_bias)
    label = ((noise < margins[0]) & ~denied).astype(np.int64)
    return ScmTruth(
        frame=_table(p, columns, s).assign(hired=label),
        counterfactual=_table(p, columns, 1 - s),
        sensitive=s,
        label=label,
        unbiased_label=(noise < margins[2]).astype(np.int64),
        probability=_sigmoid(margins[0]) * (1 - p.label_bias * s),
        counterfactual_probability=_sigmoid(margins[1]) * (1 - p.label_bias * (1 - s)),
        unbiased_probability=_sigmoid(margins[2]),
    )


def _causes(n: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns that s does not move, rounded as published; ``own`` is the proxy without its s part."""
    return {
        "experience": (8 + 3 * random.standard_normal(n)).round(2),
        "test_score": (60 + 12 * random.standard_normal(n)).round(1),
        "own": (10 + 2 * random.standard_normal(n)).round(2),
        "commute": (30 + 9 * random.standard_normal(n)).round(1),
        "field": random.integers(0, len(FIELDS), n),
    }


def _margin(p: ScmParameters, columns: dict[str, np.ndarray], s: np.ndarray | None) -> np.ndarray:
    """Margin m for the given s; m* where s is None."""
    margin = p.intercept + 1.2 * (columns["experience"] - 8) / 3 + 0.8 * (columns["test_score"] - 60) / 12
    margin = margin + _FIELD_EFFECT[columns["field"]] - _PROXY_WEIGHT * (columns["own"] - 10) / 2
    biased: np.ndarray = margin if s is None else margin - (p.direct + _PROXY_WEIGHT * p.proxy) * s
    return biased


def _table(p: ScmParameters, columns: dict[str, np.ndarray], s: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sex": np.array(SEX)[s],
            "experience": columns["experience"],
            "test_score": columns["test_score"],
            "field": np.array(FIELDS)[columns["field"]],
            "part_time": columns["own"] + 2 * p.proxy * s,
            "commute": columns["commute"],
        }
    )


def _sigmoid(margin: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-margin))
    return probability
