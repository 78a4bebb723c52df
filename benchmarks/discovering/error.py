"""What a discovery says when it cannot be done as it was asked for."""


class DiscoverError(ValueError):
    """A discovery that cannot go on; the text says what, where and what to do."""


class BudgetEndedError(DiscoverError):
    """The time of a discovery is over between two units of its work; all that was finished lies in its folder."""
