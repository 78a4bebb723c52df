"""What every floor may use: atomic files, hashes, seeding, missing numbers, rooms whose files are found."""
