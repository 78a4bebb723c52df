"""Metrics of counts, one definition per file: :class:`metrics.count_metric.CountMetric`."""
