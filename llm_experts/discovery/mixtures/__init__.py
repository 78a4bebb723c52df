"""Mixtures of the experts: their search within limits, and its winner's examination."""
