"""Metrics of counts, one definition per file: :class:`metrics.counts.metric.CountMetric`."""
