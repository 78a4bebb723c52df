"""The fixed metrics: what each versioned id means, which way is better, and how sure one can be of it.

An id never changes its meaning: a changed definition is a new version (``dp@2``). Reports print direction, target,
interval and null from here.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from foundation.refusals import did_you_mean
from metrics.counts.metric import find_count_metrics
from metrics.spec import TWO_GROUPS, Bias, MetricSpec

_UNIT = (0.0, 1.0)
_ROW_PAIR = "rows of both labels"


class MetricError(ValueError):
    """A metric that there is not."""


def _utility(id: str, name: str, symbol: str, interval: str, estimable: str, source: str) -> MetricSpec:
    return MetricSpec(id, name, symbol, "utility", "higher", 1.0, _UNIT, interval, "none", False, estimable, source)


def _procedural(
    id: str,
    name: str,
    symbol: str,
    top: float,
    estimable: str,
    source: str,
    *,
    null: bool = True,
    bias: Bias = "up",
) -> MetricSpec:
    return MetricSpec(id, name, symbol, "procedural", "lower", 0.0, (0.0, top), "rows", bias, null, estimable, source)


_CFA = "Zhao, Wang, Derr, 'Fairness and explainability: bridging the gap towards fair model explanations', AAAI 2023"
_MASKED = "needs probabilities with the top column masked, and 1/0.2 rows per group"
_ATTRIBUTIONS = "needs attributions, and rows in two groups"
_FLIPPED = "needs counterfactual probabilities: the sensitive columns are features, or the method is told the group"

_SPECS = (
    _utility(
        "auc@1",
        "area under the ROC curve",
        "AUC",
        "delong",
        f"needs {_ROW_PAIR}",
        "P(p+ > p-) + P(p+ = p-)/2; DeLong, DeLong & Clarke-Pearson, Biometrics 1988",
    ),
    _utility("utility@1", "utility", "U", "rows", f"needs {_ROW_PAIR}", "(ACC + F1 + AUC)/3"),
    MetricSpec(
        "brier@1",
        "Brier score",
        "Brier",
        "calibration",
        "lower",
        0.0,
        _UNIT,
        "rows",
        "none",
        False,
        "needs rows",
        "mean (p - y)^2; Brier, Monthly Weather Review 1950",
    ),
    MetricSpec(
        "ece@1",
        "expected calibration error",
        "ECE",
        "calibration",
        "lower",
        0.0,
        _UNIT,
        "rows",
        "up",
        False,
        "needs rows",
        "15 equal-width bins of the probability of class 1; Guo et al., ICML 2017, eq. 3",
    ),
    MetricSpec(
        "cal_gap@1",
        "calibration gap",
        "ΔCal",
        "calibration",
        "lower",
        0.0,
        (0.0, 2.0),
        "rows",
        "up",
        False,
        TWO_GROUPS,
        "largest minus smallest group mean of p - y (calibration in the large, by group)",
        ("all",),
    ),
    _procedural(
        "ref@1",
        "ratio-based explanation fairness",
        "REF",
        1.0,
        _MASKED,
        f"gap in the share of a group's rows among the 20 % with the largest fidelity; {_CFA}",
    ),
    _procedural(
        "vef@1",
        "value-based explanation fairness",
        "VEF",
        2.0,
        _MASKED,
        f"gap in mean fidelity over each group's top 20 %; {_CFA}",
    ),
    _procedural(
        "vef_acc@1",
        "value-based explanation fairness (accuracy)",
        "VEF acc",
        2.0,
        _MASKED,
        f"gap in lost accuracy over each group's top 20 %; {_CFA}",
    ),
    _procedural(
        "ref_cfa@1",
        "REF with the fidelity of the CFA code",
        "REF (CFA)",
        1.0,
        _MASKED,
        f"fidelity = drop of the largest probability; {_CFA}",
    ),
    _procedural(
        "vef_cfa@1",
        "VEF with the fidelity of the CFA code",
        "VEF (CFA)",
        2.0,
        _MASKED,
        f"fidelity = drop of the largest probability, gap in lost accuracy, row index corrected; {_CFA}",
    ),
    _procedural(
        "att_jsd@1",
        "attribution divergence",
        "ATT JSD",
        1.0,
        _ATTRIBUTIONS,
        "Jensen-Shannon divergence (base 2) of the groups' mean absolute, normalised attributions",
    ),
    _procedural(
        "signed_att@1",
        "signed attribution gap",
        "signed ATT",
        1.0,
        _ATTRIBUTIONS,
        "total variation between the groups' mean signed, L1-normalised attributions",
    ),
    _procedural(
        "sens_share@1",
        "sensitive attribution share",
        "sens. share",
        1.0,
        "needs attributions, and sensitive columns among the features",
        "mean share of absolute attribution on sensitive columns",
        null=False,
        bias="none",
    ),
    _procedural(
        "cfr@1",
        "counterfactual flip rate",
        "CFR",
        1.0,
        _FLIPPED,
        "P(prediction changes with the sensitive columns); Agarwal, Lakkaraju & Zitnik, UAI 2021",
        null=False,
        bias="none",
    ),
    _procedural(
        "cfr_soft@1",
        "counterfactual probability change",
        "soft CFR",
        1.0,
        _FLIPPED,
        "mean absolute change of the probability with the sensitive columns",
        null=False,
        bias="none",
    ),
    MetricSpec(
        "gpf_fae@1",
        "group procedural fairness by attributions",
        "GPF FAE",
        "procedural",
        "higher",
        1.0,
        _UNIT,
        "none",
        "none",
        False,
        "needs attributions and features, and rows in two groups",
        "p-value of the MMD between attributions of matched rows; Wang, Huang, Tang & Yao, arXiv 2404.01877",
    ),
    MetricSpec(
        "fair_proc@1",
        "procedural unfairness",
        "fair_proc",
        "composite",
        "lower",
        0.0,
        (0.0, 4 / 3),
        "rows",
        "up",
        True,
        "needs REF, VEF and ATT JSD",
        "(REF + VEF + ATT JSD)/3",
    ),
    MetricSpec(
        "final@1",
        "final score",
        "final",
        "composite",
        "higher",
        1.0,
        (-7 / 3, 1.0),
        "rows",
        "down",
        False,
        "needs utility, fair_res and fair_proc",
        "utility - fair_res - fair_proc",
    ),
)

_FIRST = (
    "acc@1", "f1@1", "auc@1", "utility@1", "dp@1", "eopp@1", "eodds@1", "eodds_mean@1", "acc_gap@1", "dp_ratio@1",
    "eopp_ratio@1", "eodds_ratio@1", "worst_acc@1", "worst_tpr@1",
)  # fmt: skip
_LAST = ("fair_res@1", "fair_proc@1", "final@1")


def _in_order(specs: dict[str, MetricSpec]) -> dict[str, MetricSpec]:
    """Specs in the order of tables: one that is not named here stands before the composites, plug-ins behind others."""
    between = [id for id in specs if id not in (*_FIRST, *_LAST)]
    return {id: specs[id] for id in (*_FIRST, *between, *_LAST)}


COUNTS = find_count_metrics()
"""Definitions of the metrics of counts by id."""

METRICS = _in_order({metric.id: metric for metric in (*_SPECS, *(count.spec for count in COUNTS.values()))})
"""All fixed metrics by id, in the order of tables."""

CFA_METRICS = ("ref_cfa@1", "vef_cfa@1")
"""Computed only on request, to compare with published tables."""


def spec(id: str) -> MetricSpec:
    """The metric of an id.

    Raises
    ------
    KeyError
        If there is no such id; the text names close matches.
    """
    if id in METRICS:
        return METRICS[id]
    raise KeyError(_unknown(id, METRICS))


def metric_id(text: str, known: Collection[str] = tuple(METRICS)) -> str:
    """The id that someone means: any case, ``-`` for ``_``, the version left out.

    Parameters
    ----------
    text : str
        As it was typed.
    known : collection of str
        The ids that may be meant.

    Raises
    ------
    MetricError
        If nothing or something unknown is meant; the text names close matches.

    Examples
    --------
    >>> metric_id("Fair-Res"), metric_id("ATT_JSD"), metric_id("dp@1")
    ('fair_res@1', 'att_jsd@1', 'dp@1')
    """
    asked = text.strip().lower().replace("-", "_")
    found = asked if asked in known else _bare(known).get(asked)
    if found is None:
        raise MetricError(_unknown(text, known))
    return found


def _bare(known: Collection[str]) -> dict[str, str]:
    """Ids by their names without a version."""
    return {id.split("@")[0]: id for id in known}


def _unknown(text: str, known: Collection[str]) -> str:
    bare = _bare(known)
    hint = did_you_mean(text.strip().lower().replace("-", "_").split("@")[0], bare, most=3, told=bare)
    return f"There is no metric {text!r}. {hint}Metrics are {', '.join(known)}."


def better(id: str, first: float, second: float) -> bool:
    """Whether ``first`` is strictly better than ``second`` in metric ``id``; False if either is nan."""
    if math.isnan(first) or math.isnan(second):
        return False
    return first > second if spec(id).direction == "higher" else first < second
