"""The base cut at a layer: shared prefixes, lanes above the cut, the verbaliser."""
