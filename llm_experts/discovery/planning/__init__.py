"""How many experts, and for what: evidence, clusters, advice, probes, the plan."""
