"""What is refused when answers are examined."""


class EvaluationError(ValueError):
    """An examination that would say nothing, or cannot be held; the text says why and what to do."""
