"""Books of measures: what margins of rows, or of items with listed answers, are worth."""
