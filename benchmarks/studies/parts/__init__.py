"""What studies share: measures of experts on items, and statistics over items and seeds."""
