"""Figures of a discovery: one file each; they take the results and give markup, empty where nothing is to draw."""
