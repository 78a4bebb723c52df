"""LLM adapter experts: base models, adapters, objectives, trainers, mixtures, search and bias sets."""
