"""``leaderboard.md``: the numbers of the page as compact tables."""

from reports.render.markdown.document import render_markdown

__all__ = ["render_markdown"]
