"""Output folders of the same suite put together: shares that several machines computed, or runs that were cut short."""
