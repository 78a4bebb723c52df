"""What every floor may use: atomic files, seeding, finite checks."""
