"""Figures as SVG: one file each, found by the name ``FIGURE``."""
