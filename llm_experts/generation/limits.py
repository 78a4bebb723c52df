"""How large a set of items may be; of no imports, as command lines ask it before anything is loaded."""

from __future__ import annotations

MOST_ITEMS = 1_000_000
"""Items of one set at most, as they are held in memory: about 1 kB each, 1 to 2 kB each of up to eight drafts of it."""
MOST_TOPICS = 100
"""Topics of a spec at most: every topic keeps its drafts and, of a writing provider, its conversation's examples."""
