"""Tables that only text experts have: language bias, wordings, objectives, fronts."""
