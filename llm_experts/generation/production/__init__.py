"""The making of a set: drafts in batches, what they brought, the difficulty that is moved, what is written down."""
