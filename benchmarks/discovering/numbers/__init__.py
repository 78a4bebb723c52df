"""Numbers of every step of a discovery under their registered names: one file a step."""
