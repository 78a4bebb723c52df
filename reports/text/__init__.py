"""Tables that only text experts have: language bias, sensitivity to the wording, fronts of mixture searches."""
