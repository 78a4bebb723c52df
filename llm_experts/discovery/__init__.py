"""From a base model to a mixture of experts that it was measured to need."""
