"""Experts trained together and watched."""
