"""What a saved model does on new rows, against what it promised."""
