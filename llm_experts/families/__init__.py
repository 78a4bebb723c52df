"""Families of language tasks: one file each, with generator, checker and reward."""
