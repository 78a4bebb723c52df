"""Commands about packages: one file per verb."""
