"""Pages: HTML, Markdown, LaTeX, downloads, and the words of numbers."""
