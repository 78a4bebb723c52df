"""What a discovery hands on: its mixture, the experts beside it, and what rounding them costs."""
