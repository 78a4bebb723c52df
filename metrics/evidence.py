"""What a method hands over to be scored: its predictions, and its reasons where it can give them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Evidence:
    """Predictions and reasons for r rows; enough to compute every fixed metric without the model.

    Reasons may be known for e of the rows only: explaining is dear, and a sample of rows tells as much of the groups.

    Attributes
    ----------
    probability : [r] float
        Probability of class 1. A row is predicted 1 iff probability > 0.5 (a tie is class 0).
    attributions : [e, c] float or None
        Signed attribution of the logit margin to each source column, baseline: all columns unknown.
    masked : [e] float or None
        Probability after the row's column with the largest absolute attribution is masked.
    counterfactual : [r, g] float or None
        Probability with the sensitive columns set to those of group k; None when they are not features.
    features : [e, d] float or None
        Encoded features for measures that match rows (GPF_FAE); those of the sensitive columns are 0, so that rows of
        different groups can match.
    sensitive_columns : tuple of int
        Which of the c columns are sensitive.
    explainer : str
        How the attributions were made, such as "integrated_gradients" or "shapley_sampling".
    explained : [e] int64 or None
        Positions of the rows that were explained, ascending; None: all of them.
    """

    probability: Tensor
    attributions: Tensor | None = None
    masked: Tensor | None = None
    counterfactual: Tensor | None = None
    features: Tensor | None = None
    sensitive_columns: tuple[int, ...] = ()
    explainer: str = ""
    explained: Tensor | None = None

    def of_explained(self, values: Tensor) -> Tensor:
        """[e, ...] those of values [r, ...] that belong to explained rows."""
        return values if self.explained is None else values[self.explained]
