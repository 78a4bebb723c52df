"""From a finished run to the model for one task: chosen by rows that choose, cross-fitted, looked at once on test rows.

``find_cells`` reads what there is, :func:`benchmarks.choice.choose.choose` applies the rule to tensors,
:func:`benchmarks.choice.deliver.deliver` saves the model.
"""
