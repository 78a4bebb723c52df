"""Every metric name of a discovery, in one place: what it means, its unit, which way is better, how often it comes.

Names are fixed whatever a base, a plan or a search bring. Parts in braces stand for what a run has several of:

==============  =====================================================================================================
part            stands for
==============  =====================================================================================================
``domain``      the name of a domain (:func:`slug`)
``expert``      a slot, ``expert_01`` to ``expert_10`` in the order of the plan; which expert has it is a tag of the
                run, so that runs with other experts have the same names
``number``      a number of experts that was weighed, ``n03`` to ``n10``
``check``       a check of drafts
``measure``     a measure of mixtures; those of single domains are under ``examination/domain``
``contender``   ``winner``, ``uniform``, ``base``, ``best_single`` or a slot, for the expert alone
``task``        a task that had to stay
``gate``        the id of a gate
``step``        a step of the run
==============  =====================================================================================================

A value that a run does not have is not logged; nothing is logged twice. Series come once an epoch or a generation, at
their step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Better = Literal["higher", "lower", ""]
SHARE, COUNT, SECONDS, DIFFERENCE, CORRELATION = "0 … 1", "count", "seconds", "−1 … 1", "−1 … 1"
FLAG, OWN, NATS, DOLLARS, WEIGHT = "0 or 1", "of the measure", "nats a token", "dollars", "weight α"
SLOTS = tuple(f"expert_{k:02d}" for k in range(1, 11))
"""Slots of experts; spec 004 has at most ten."""
NUMBERS = tuple(f"n{k:02d}" for k in range(3, 11))
PART = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class MetricName:
    """A fixed name.

    Attributes
    ----------
    id : str
        With parts in braces.
    unit : str
        Unit or range.
    better : {"higher", "lower", ""}
    about : str
        What it means.
    series : bool
        Whether it comes at steps.
    """

    id: str
    unit: str
    better: Better
    about: str
    series: bool = False

    @property
    def stage(self) -> str:
        """The step that it is of."""
        return self.id.partition("/")[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts in braces."""
        return tuple(PART.findall(self.id))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a full name of it matches; the parts are groups."""
        return re.compile(PART.sub(r"(?P<\1>[A-Za-z0-9_-]+)", self.id))

    def read(self, name: str) -> dict[str, str]:
        """What stands for the parts in a full name of it; empty if it is none."""
        found = self.pattern.fullmatch(name)
        return found.groupdict() if found else {}

    def child(self) -> str:
        """Its name in the run of one expert: without the slot; "" for one that is not of an expert."""
        return self.id.replace("/{expert}", "") if "expert" in self.parts else ""


def slug(name: str) -> str:
    """A name as a part of a metric name: letters, digits, ``_`` and ``-``; at most 60 of them."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:60]


def _rows(stage: str, *rows: tuple[str, str, Better, str], series: bool = False) -> tuple[MetricName, ...]:
    return tuple(MetricName(f"{stage}/{id}", unit, better, about, series) for id, unit, better, about in rows)


def _measured(id: str, unit: str, better: Better, about: str, p: bool = False) -> list[tuple[str, str, Better, str]]:
    """An estimate, the ends of its 95 % interval and, for differences, its p."""
    rows: list[tuple[str, str, Better, str]] = [(f"{id}/estimate", unit, better, about)]
    rows += [
        (f"{id}/{end}", unit, better, f"… {word} end of the 95 % interval")
        for end, word in (("low", "lower"), ("high", "upper"))
    ]
    if p:
        rows += [
            (f"{id}/p", SHARE, "", "… p of no difference"),
            (f"{id}/p_holm", SHARE, "", "… after Holm's adjustment"),
        ]
    return rows


CAPABILITY = _rows(
    "capability",
    ("domains", COUNT, "higher", "domains that were measured"),
    ("items", COUNT, "higher", "items over all domains"),
    ("share_mean", SHARE, "higher", "mean share of right answers over domains"),
    ("share_lowest", SHARE, "higher", "share in the weakest domain"),
    ("share_highest", SHARE, "", "share in the strongest domain"),
    ("above_chance", COUNT, "higher", "domains whose whole interval lies above chance"),
    ("below_chance", COUNT, "lower", "domains whose whole interval lies below chance"),
    ("opinion/asked", COUNT, "", "domains in which the base was asked for its opinion"),
    ("opinion/read", COUNT, "higher", "opinions that could be read"),
    ("opinion/brier", SHARE, "lower", "Brier score of its opinions"),
    ("opinion/error", SHARE, "lower", "mean distance of opinion and measured share"),
    ("opinion/tau", CORRELATION, "higher", "Kendall's τ of its order of domains with the measured one"),
    ("opinion/yes_brier", SHARE, "lower", "Brier score of its probabilities of saying yes, it can"),
    ("opinion/yes_error", SHARE, "lower", "mean distance of that probability and measured share"),
    ("opinion/yes_tau", CORRELATION, "higher", "Kendall's τ of its order of domains by that with the measured one"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("domain/{domain}/n", COUNT, "higher", "items of the domain"),
    ("domain/{domain}/right", COUNT, "higher", "right answers"),
    ("domain/{domain}/share", SHARE, "higher", "share of right answers"),
    ("domain/{domain}/low", SHARE, "higher", "… lower end of Wilson's 95 % interval"),
    ("domain/{domain}/high", SHARE, "higher", "… upper end"),
    ("domain/{domain}/p_mean", SHARE, "higher", "mean probability of the right one among the listed answers"),
    ("domain/{domain}/brier", SHARE, "lower", "mean squared distance of that probability from right or wrong"),
    ("domain/{domain}/chance", SHARE, "", "share that guessing has"),
    ("domain/{domain}/above_chance", DIFFERENCE, "higher", "share minus chance"),
    ("domain/{domain}/opinion", SHARE, "", "share that the base says of itself"),
    ("domain/{domain}/opinion_yes", SHARE, "", "probability that it says yes when asked whether it can"),
    ("domain/{domain}/opinion_error", DIFFERENCE, "", "opinion minus measured share: above 0, too high an opinion"),
)
PLAN = _rows(
    "plan",
    ("experts", COUNT, "", "experts that were planned"),
    ("domains", COUNT, "higher", "domains that experts are planned for"),
    ("left_out", COUNT, "", "domains that are left out, with a reason"),
    ("stability", DIFFERENCE, "higher", "stability of the division that was chosen (adjusted Rand index)"),
    ("silhouette", DIFFERENCE, "higher", "its silhouette"),
    ("p", SHARE, "", "p of the division if domains had no structure"),
    ("similarity_within", DIFFERENCE, "higher", "mean similarity of two domains of one expert"),
    ("similarity_between", DIFFERENCE, "", "mean similarity of two domains of different experts"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("domain/{domain}/reliability", DIFFERENCE, "higher", "agreement of two halves of a domain's items on it"),
    ("number/{number}/stability", DIFFERENCE, "higher", "stability of the division into so many experts"),
    ("number/{number}/low", DIFFERENCE, "higher", "… lower end of its 95 % interval"),
    ("number/{number}/high", DIFFERENCE, "higher", "… upper end"),
    ("number/{number}/silhouette", DIFFERENCE, "higher", "its silhouette"),
    ("{expert}/domains", COUNT, "", "domains of the expert"),
    ("{expert}/target", SHARE, "", "accuracy that it is to reach"),
)
DATA = _rows(
    "data",
    ("drafts", COUNT, "", "drafts that were made"),
    ("accepted", COUNT, "higher", "drafts that every check accepted"),
    ("acceptance", SHARE, "higher", "accepted share of all drafts"),
    ("filled", COUNT, "lower", "items that fill up a set although a check refused them, the nearest there were"),
    ("in_zone", COUNT, "higher", "experts whose set lies in the learning zone"),
    ("dollars", DOLLARS, "lower", "what the provider cost"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("check/{check}/failed", COUNT, "lower", "drafts that a check refused, over all experts"),
    ("topic/{domain}/difficulty", SHARE, "", "difficulty of a domain's drafts in the end"),
    ("topic/{domain}/drafts", COUNT, "", "drafts of the domain"),
    ("topic/{domain}/accepted", COUNT, "higher", "… accepted"),
    ("topic/{domain}/acceptance", SHARE, "higher", "… accepted share"),
    ("{expert}/drafts", COUNT, "", "drafts for the expert"),
    ("{expert}/accepted", COUNT, "higher", "… accepted"),
    ("{expert}/rejected", COUNT, "lower", "… refused"),
    ("{expert}/acceptance", SHARE, "higher", "… accepted share"),
    ("{expert}/acceptance_low", SHARE, "higher", "… lower end of Wilson's 95 % interval"),
    ("{expert}/acceptance_high", SHARE, "higher", "… upper end"),
    ("{expert}/filled", COUNT, "lower", "items that fill up its set although a check refused them"),
    ("{expert}/variants", COUNT, "", "times that the difficulty was moved because too few were accepted"),
    ("{expert}/zone_mean", SHARE, "", "mean success of the accepted items; wanted: .70 to .80"),
    ("{expert}/zone_low", SHARE, "", "… lower end, as the result file has it"),
    ("{expert}/zone_high", SHARE, "", "… upper end"),
    ("{expert}/zone_inside", FLAG, "higher", "whether the mean lies in the zone"),
    ("{expert}/dollars", DOLLARS, "lower", "what its drafts cost"),
    ("{expert}/seconds", SECONDS, "lower", "time that they took"),
    ("{expert}/items_a_minute", "1 / minute", "higher", "accepted items a minute"),
    ("{expert}/check/{check}/failed", COUNT, "lower", "drafts that a check refused; one may fail several"),
    ("{expert}/check/{check}/share", SHARE, "lower", "… share of the drafts"),
)
TRAINING = _rows(
    "training",
    ("experts", COUNT, "", "experts that were trained"),
    ("reached", COUNT, "higher", "experts that reached their target"),
    ("stopped", COUNT, "", "experts that a rule ended before the last step"),
    ("given_up", COUNT, "lower", "experts that lost their alignment again after a restart"),
    ("restarts", COUNT, "lower", "restarts of all experts"),
    ("parameters", COUNT, "lower", "numbers that trained, over all experts"),
    ("accuracy_mean", SHARE, "higher", "mean accuracy of the kept checkpoints on the items that are watched"),
    ("alignment_lowest", SHARE, "higher", "lowest alignment that any expert had at any epoch"),
    ("drift_highest", NATS, "lower", "largest drift of any expert at any epoch"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("{expert}/target", SHARE, "", "accuracy that the expert was to reach"),
    ("{expert}/reached", FLAG, "higher", "whether it did"),
    ("{expert}/best_step", COUNT, "", "step of the checkpoint that was kept"),
    ("{expert}/steps", COUNT, "", "steps that it trained"),
    ("{expert}/restarts", COUNT, "lower", "times that it began again"),
    ("{expert}/stopped", FLAG, "", "whether a rule ended it before the last step"),
    ("{expert}/given_up", FLAG, "lower", "whether it lost its alignment again after a restart"),
    ("{expert}/parameters", COUNT, "lower", "numbers that trained"),
    ("{expert}/kept_accuracy", SHARE, "higher", "accuracy of the kept checkpoint on the items that are watched"),
    ("{expert}/kept_low", SHARE, "higher", "… lower end of its 95 % interval"),
    ("{expert}/kept_high", SHARE, "higher", "… upper end"),
    ("{expert}/kept_gain", DIFFERENCE, "higher", "… minus that before the first step"),
    ("{expert}/alignment_lowest", SHARE, "higher", "its lowest alignment"),
    ("{expert}/drift_highest", NATS, "lower", "its largest drift"),
) + _rows(
    "training",
    ("{expert}/epoch", COUNT, "", "epoch"),
    ("{expert}/loss", OWN, "lower", "mean training loss since the last epoch"),
    ("{expert}/accuracy", SHARE, "higher", "accuracy on the items that are watched"),
    ("{expert}/low", SHARE, "higher", "… lower end of its 95 % interval"),
    ("{expert}/high", SHARE, "higher", "… upper end"),
    ("{expert}/alignment", SHARE, "higher", "share of choices that exchanged group terms leave unchanged"),
    ("{expert}/zone", SHARE, "", "mean success"),
    ("{expert}/drift", NATS, "lower", "drift from the base"),
    ("{expert}/beta", "coefficient", "", "weight of the drift in the loss"),
    series=True,
)  # fmt: skip
SEARCH = _rows(
    "search",
    ("candidates", COUNT, "", "mixtures that were evaluated truly"),
    ("feasible", COUNT, "higher", "… that keep every constraint"),
    ("on_front", COUNT, "", "… that nothing beats"),
    ("rounds", COUNT, "", "rounds"),
    ("generations", COUNT, "", "generations of all rounds"),
    ("passes", COUNT, "lower", "true passes of the model"),
    ("surrogate_evaluations", COUNT, "", "mixtures that the surrogate was asked about"),
    ("hypervolume_last", OWN, "higher", "hypervolume of the last generation"),
    ("hypervolume_gain", OWN, "higher", "… minus that of the first"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("advice/asked", COUNT, "", "times that a language model was asked for advice"),
    ("advice/malformed", COUNT, "lower", "answers that could not be read"),
    ("advice/followed", COUNT, "", "advice that was followed"),
    ("advice/helped", COUNT, "higher", "advice with a larger hypervolume than the rule's"),
    ("advice/gain", OWN, "higher", "mean relative difference of the two hypervolumes"),
    ("advice/tau_rule", CORRELATION, "higher", "agreement of the rule's bounds with what was found in the end"),
    ("advice/tau_advice", CORRELATION, "higher", "… of the advice's"),
    ("decisions/rule", COUNT, "", "looks at the front that only the rule had"),
    ("decisions/followed", COUNT, "", "… that followed advice"),
    ("decisions/beaten", COUNT, "", "… where the rule beat the advice"),
    ("decisions/malformed", COUNT, "lower", "… where advice could not be read"),
    ("best/{measure}", OWN, "", "best value of a measure among candidates that keep the constraints"),
    ("winner/{measure}", OWN, "", "the later winner's value on the items of the search, which flatter it"),
    ("{expert}/weight_lowest", WEIGHT, "", "lowest weight of an expert on the front"),
    ("{expert}/weight_mean", WEIGHT, "", "mean weight on the front"),
    ("{expert}/weight_highest", WEIGHT, "", "highest weight on the front"),
) + _rows(
    "search",
    ("hypervolume", OWN, "higher", "hypervolume of the front by generation, rounds one after the other"),
    ("evaluations", COUNT, "", "mixtures looked at so far"),
    ("guidance/volume_rule", OWN, "higher", "hypervolume with the rule's bounds, where guidance looked"),
    ("guidance/volume_advice", OWN, "higher", "… with the advised bounds"),
    ("guidance/tau_rule", CORRELATION, "higher", "agreement of the rule with the front"),
    ("guidance/tau_advice", CORRELATION, "higher", "… of the advice"),
    series=True,
)  # fmt: skip
EXAMINATION = _rows(
    "examination",
    ("scenarios", COUNT, "higher", "scenarios that nothing before has seen"),
    ("contenders", COUNT, "", "mixtures, single experts, uniform mixture and base"),
    ("refused", COUNT, "lower", "contenders with objections"),
    ("accepted", FLAG, "higher", "whether the winner is accepted"),
    ("optimism", OWN, "lower", "the winner's main measure on the items of the search minus that on the scenarios"),
    ("experts_better", COUNT, "higher", "domains where the own expert's whole interval lies above the base"),
    ("experts_open", COUNT, "", "… holds no difference"),
    ("experts_worse", COUNT, "lower", "… lies below"),
    ("winner_better", COUNT, "higher", "domains where the winner's whole interval lies above the base"),
    ("winner_open", COUNT, "", "… holds no difference"),
    ("winner_worse", COUNT, "lower", "… lies below: what the mixture costs elsewhere"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("weight/{expert}", WEIGHT, "", "weight of the expert in the winner"),
    ("elsewhere/{expert}/mean", DIFFERENCE, "higher", "mean gain of the expert alone over domains not its own"),
    ("elsewhere/{expert}/lowest", DIFFERENCE, "higher", "… its lowest one: what it costs elsewhere"),
    ("elsewhere/{expert}/worse", COUNT, "lower", "… domains where its whole interval lies below the base"),
    *_measured("contender/{contender}/{measure}", OWN, "", "a measure of a contender"),
    *_measured("against/{contender}", OWN, "higher", "main measure, winner minus rival, paired", p=True),
    *_measured("domain/{domain}/base", SHARE, "higher", "share of right answers of the base"),
    *_measured("domain/{domain}/single", SHARE, "higher", "… of the domain's own expert"),
    *_measured("domain/{domain}/winner", SHARE, "higher", "… of the winner"),
    *_measured("domain/{domain}/gain", DIFFERENCE, "higher", "own expert minus base, paired", p=True),
    *_measured("domain/{domain}/winner_gain", DIFFERENCE, "higher", "winner minus base, paired", p=True),
)  # fmt: skip
PRESERVE = _rows(
    "preserve",
    ("tasks", COUNT, "higher", "tasks that had to stay"),
    ("preserved", COUNT, "higher", "… whose whole interval lies within the margin"),
    ("seconds", SECONDS, "lower", "time of the step"),
    ("task/{task}/n", COUNT, "higher", "items of the task"),
    ("task/{task}/before", OWN, "", "value of the base"),
    ("task/{task}/after", OWN, "", "value of the winner"),
    ("task/{task}/difference", OWN, "higher", "change; above 0 it is better"),
    ("task/{task}/low", OWN, "higher", "… lower end of its 95 % interval"),
    ("task/{task}/high", OWN, "higher", "… upper end"),
    ("task/{task}/margin", OWN, "", "margin that was stated beforehand"),
    ("task/{task}/preserved", FLAG, "higher", "whether the lower end is above minus the margin; none: nothing to lose"),
)
GATES = _rows(
    "gates",
    ("passed", COUNT, "higher", "gates that were passed"),
    ("failed", COUNT, "lower", "gates that were failed"),
    ("unmeasured", COUNT, "lower", "gates without a measurement: never passed"),
    ("gate/{gate}/value", OWN, "", "value of a gate"),
    ("gate/{gate}/bound", OWN, "", "what it is held against"),
    ("gate/{gate}/passed", FLAG, "higher", "whether it was passed; not logged where it was not measured"),
)
COST = _rows(
    "cost",
    ("seconds", SECONDS, "lower", "time of all steps"),
    ("dollars", DOLLARS, "lower", "what providers cost"),
    ("share/{step}", SHARE, "", "share of a step in the time"),
)

METRICS: dict[str, MetricName] = {
    metric.id: metric
    for stage in (CAPABILITY, PLAN, DATA, TRAINING, SEARCH, EXAMINATION, PRESERVE, GATES, COST)
    for metric in stage
}
"""By id, in the order of the steps."""
