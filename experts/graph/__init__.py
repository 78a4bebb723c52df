"""Graph experts: GCN, GIN and GraphSAGE as lanes, their propagation sparse and done once."""
