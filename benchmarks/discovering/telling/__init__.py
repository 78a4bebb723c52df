"""What people are told of a discovery while it runs and at its end: bars and tables."""
