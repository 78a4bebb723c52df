"""Who vouches for a package: keys, signatures, and the user's own list of keys that are trusted."""
