"""What people are told of a discovery: bars, tables, and the verdict in sentences."""
