"""Methods: what each one is, how it is built, and the machinery of each kind."""
