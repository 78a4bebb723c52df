"""Tables as LaTeX: booktabs rules, every sign escaped or written as the command that prints it."""

from __future__ import annotations

from collections.abc import Sequence

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "−": r"$-$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "×": r"$\times$", "·": r"$\cdot$", "λ": r"$\lambda$",
    "α": r"$\alpha$", "τ": r"$\tau$", "χ": r"$\chi$", "²": r"$^2$", "³": r"$^3$", "½": r"$\frac{1}{2}$",
    "¼": r"$\frac{1}{4}$", "▲": r"$\uparrow$", "▼": r"$\downarrow$", "○": r"$\circ$", "●": r"$\bullet$",
    "◆": r"$\diamond$", "→": r"$\rightarrow$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "Δ": r"$\Delta$",
    "ε": r"$\varepsilon$", "κ": r"$\kappa$", "†": r"$\dagger$", "‡": r"$\ddagger$",
    "–": "--", "—": "---", "…": r"\ldots{}", "“": "``", "”": "''", "’": "'", "‘": "`",
    "\n": " ", "\r": " ", "\t": " ", "\v": " ", "\f": " ",
    "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,", "\u200b": "", "✓": "yes", "✗": "no", "▁": r"\_",
}  # fmt: skip
"""What stands for a sign. Latin letters with accents are left alone: LaTeX reads UTF-8."""


def escape(text: str) -> str:
    r"""Text as LaTeX prints it; a sign without an equivalent becomes a question mark, so that the file compiles.

    Examples
    --------
    >>> escape("50 % of a_b")
    '50 \\\\% of a\\\\_b'
    """
    return "".join(SIGNS.get(c) or ("" if c in SIGNS else c if ord(c) < 0x250 else "?") for c in text)


def latex_table(caption: str, label: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``table`` with the rules of the package booktabs, which the document must load.

    Parameters
    ----------
    caption, label : str
        The label is taken as it is: letters, digits and hyphens.
    columns : sequence of str
        Heads; the first column is set to the left, all others to the right.
    rows : sequence of sequences of str
        As many cells as heads each, plain text.

    Raises
    ------
    ValueError
        If a row has another number of cells.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"Table {label}: a row has {len(row)} cells for {len(columns)} columns: {list(row)}.")
    lines = [" & ".join(map(escape, cells)) + r" \\" for cells in (columns, *rows)]
    return "\n".join(
        [
            r"\begin{table}[tb]",
            r"\centering",
            rf"\caption{{{escape(caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )
