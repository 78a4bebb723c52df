"""The steps of a discovery: one file each, in the order of their registry."""
