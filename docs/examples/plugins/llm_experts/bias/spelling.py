"""Which of two spellings a model prefers."""

import numpy as np

from llm_experts.bias.bias_set import BiasSet
from llm_experts.bias.result import DRAWS, BiasMetric, capped, generator_of, preferred, resampled, row
from llm_experts.bias.sources import Source
from metrics.proportions import quotient

SHARE = BiasMetric("share@1", "spelling", 0, 100, 50, "% of words whose British spelling is likelier")


def load():
    return [("colour", "color"), ("grey", "gray"), ("centre", "center"), ("licence", "license")]


def sample(pairs, limit, seed):
    return [pairs[k] for k in capped([0] * len(pairs), limit, generator_of(seed, "limit", "spelling"))]


def share(sums):
    return 100 * quotient(sums[..., 1], sums[..., 0])


def score(scorer, pairs, seed, draws=DRAWS):
    scored = scorer.token_log_probs([word for pair in pairs for word in pair])
    totals = np.array([s.total for s in scored]).reshape(-1, 2)
    table = np.stack([np.ones(len(pairs)), preferred(totals[:, 0], totals[:, 1])], 1)
    value = resampled(table, pairs, share, generator_of(seed, "spelling"), "there are no words", draws)
    return [row(SHARE, "all", value, len(pairs))]


BIAS_SET = BiasSet(
    label="Spelling",
    columns={"share@1": ("British %", "50 ideal", "words whose British spelling is likelier", 1)},
    source=Source("spelling", "Spelling", "https://example.org", "CC0", "Nobody, 2024.", ()),
    scoring="log-likelihood of the words",
    metrics=(SHARE,),
    load=load,
    sample=sample,
    score=score,
)
