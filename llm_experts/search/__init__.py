"""Search for mixtures: evolutionary, on a surrogate, verified by the model itself."""
