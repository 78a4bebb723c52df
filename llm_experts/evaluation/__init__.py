"""Examinations of language experts: answers, scores with intervals, comparisons."""
