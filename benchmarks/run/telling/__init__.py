"""How a run tells of itself: stages and shares, seconds of parts, remarks, and what a person sees of them."""
