"""The answer in words, cells, data for the page and files."""
