"""The YAML block that the Hugging Face Hub reads: licence, tags, metrics and the model index."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from benchmarks.models.cards.facts import ModelFacts

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

HUB_NAMES = {"acc@1": "accuracy", "f1@1": "f1", "auc@1": "roc_auc", "brier@1": "brier_score"}
"""What the Hub calls metrics of ours that it knows; others keep their id."""
LICENCES = (("cc by 4.0", "cc-by-4.0"), ("cc0", "cc0-1.0"), ("mit", "mit"), ("apache-2.0", "apache-2.0"))


def front_matter(facts: ModelFacts) -> str:
    """YAML of the front matter, through the Hub's own writer."""
    from huggingface_hub import ModelCardData

    licence = hub_licence(facts.card.licence)
    results = list(_results(facts))
    data = ModelCardData(
        model_name=f"{facts.method} for {facts.model.get('task', facts.card.name)}",
        license=licence,
        library_name="fairmoe",
        pipeline_tag="tabular-classification",
        tags=["fairness", "tabular-classification", "fairmoe", facts.method],
        metrics=sorted({result.metric_type for result in results}),
        eval_results=results or None,
    )
    if licence == "other":
        data["license_name"] = facts.card.licence.split(" (")[0].split(";")[0]
    text: str = data.to_yaml()
    return text


def hub_licence(text: str) -> str:
    """The Hub's word for the licence of the data, "other" for one that it has no word for."""
    words = re.sub(r"\s+", " ", text.lower())
    return next((hub for own, hub in LICENCES if words.startswith(own)), "other")


def _results(facts: ModelFacts) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    promise = facts.promise
    if promise is None:
        return []
    told = promise.facts
    return [
        EvalResult(
            task_type="tabular-classification",
            dataset_type=facts.card.name,
            dataset_name=facts.card.title,
            dataset_split=f"test ({told.get('protocol', 'split')} {told.get('split', 0)})",
            metric_type=HUB_NAMES.get(id, id),
            metric_name=id,
            metric_value=round(value.estimate, 6),
            metric_args={
                key: round(number, 6)
                for key, number in (("low", value.low), ("high", value.high), ("null_p95", value.null_p95))
                if math.isfinite(number)
            },
        )
        for id, value in promise.metrics.items()
        if value.status != "not_estimable" and math.isfinite(value.estimate)
    ]
