"""What domains are compared by: a vector for each block of their items."""
