"""What is checked of items: one file each."""
