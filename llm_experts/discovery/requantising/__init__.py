"""What rounding the weights of a base with an expert in them costs the expert."""
