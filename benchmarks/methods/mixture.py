"""The mixtures of tabular experts, from the one of three roles to the library of all families with a decision layer."""

from __future__ import annotations

from benchmarks.methods.gates import EXPLAINER, RATE, TABULAR_ROLES
from benchmarks.methods.method import FAMILIES, LIBRARY, TABULAR, Method, Rate

MIXTURE = Method(
    id="mixture",
    label="Mixture",
    about="bagged experts of all families, adaptive weights, decision layer",
    kind="gate",
    family="mixture",
    colour="blue",
    explainer="chained",
    landmark=True,
    compared=(
        *(("tabular", other) for other in ("family_mixture", "role_mixture", "best_single", "gradient_boosting")),
        *(("baselines", other) for other in (
            "lightgbm", "lightgbm_bag", "exponentiated_gradient", "threshold_optimizer", "reweighing", "reweighed_bag",
        )),
    ),
    levels=(("mixture", "plain"), ("mixture", "oof"), ("mixture", "oof80"), ("mixture", "decision")),
    ablation=((3, "oof", "+ bagging and out-of-fold thresholds"), (4, "decision", "+ decision layer")),
    recipe="benchmarks.run.stages.library:LIBRARY_MIXTURE",
    pool=LIBRARY,
    gate="adaptive",
    rate=Rate(6.0, 12.0),
)  # fmt: skip

FAMILY_MIXTURE = Method(
    id="family_mixture",
    label="Family mixture",
    about="the chosen experts of all families and roles, adaptive weights",
    kind="gate",
    family="mixture",
    colour="sky",
    explainer="chained",
    secondary=True,
    compared=(("tabular", "role_mixture"),),
    ablation=((2, "thresholds", "+ families"),),
    recipe="benchmarks.run.stages.mixtures:GATED",
    pool=FAMILIES,
    gate="adaptive",
    rate=Rate(2.0, 3.0),
)

ROLE_MIXTURE = Method(
    id="role_mixture",
    label="Role mixture",
    about="three networks, one per role, and their gate after joint fine-tuning",
    kind="gate",
    family="mixture",
    colour="blue",
    explainer=EXPLAINER[TABULAR],
    compared=tuple(("tabular", other) for other in ("best_single", "static_simplex", "uniform", "combined_mlp")),
    levels=(("mixture", "plain"), ("mixture", "thresholds")),
    ablation=((1, "thresholds", "Three roles"),),
    recipe="benchmarks.run.stages.mixtures:FINE_TUNED",
    networks=TABULAR_ROLES,
    pool=TABULAR,
    gate="dense",
    rate=RATE,
)

MIXTURES = (MIXTURE, FAMILY_MIXTURE, ROLE_MIXTURE)
