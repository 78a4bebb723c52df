"""The mixture: tabular experts and their dense gate after joint fine-tuning."""

from __future__ import annotations

from benchmarks.methods.gates import EXPLAINER, RATE, TABULAR_ROLES
from benchmarks.methods.method import TABULAR, Method

MIXTURE = Method(
    id="mixture",
    label="Mixture",
    about="experts and gate after joint fine-tuning",
    kind="gate",
    family="mixture",
    colour="blue",
    explainer=EXPLAINER[TABULAR],
    landmark=True,
    compared=(
        *(("tabular", other) for other in (
            "best_single", "static_simplex", "uniform", "combined_mlp", "gradient_boosting",
        )),
        *(("baselines", other) for other in (
            "lightgbm", "exponentiated_gradient", "threshold_optimizer", "reweighing",
        )),
    ),
    levels=(("mixture", "plain"), ("mixture", "thresholds")),
    recipe="benchmarks.run.stages.mixtures:FINE_TUNED",
    networks=TABULAR_ROLES,
    pool=TABULAR,
    gate="dense",
    rate=RATE,
)  # fmt: skip
