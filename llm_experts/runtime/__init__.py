"""Generation with adapters composed on a resident base: slots, compositions, caches, batches that never wait."""
