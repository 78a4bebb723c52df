"""What runs of the campaign's suites import: all of it, so that a fork of a process that has done so begins at once."""

import lightgbm
import mlflow.store.tracking.sqlalchemy_store
import peft
import sklearn.linear_model
import sklearn.model_selection
import torch
import transformers

import benchmarks.cli
import benchmarks.commands.llm.loading
import benchmarks.run.runner
import benchmarks.run.stages.text
import benchmarks.run.stages.text_tables
import gates.registry
import llm_experts.adapters.registry
import moe.mixture
import reports.render.page
import reports.summary

__all__ = ["benchmarks", "gates", "lightgbm", "llm_experts", "mlflow", "moe", "peft", "reports", "sklearn", "torch",
           "transformers"]  # fmt: skip

gates.registry.gate_names()  # looks the files of the room up
