"""The embedded base model that the project pretrains itself."""
