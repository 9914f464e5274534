"""A table in Markdown and LaTeX."""

import re

from ltray.paper_tables.layout import NUMBERS, TableLayout

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "√": r"$\sqrt{\ }$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "τ": r"$\tau$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "γ": r"$\gamma$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "σ": r"$\sigma$",
    "ε": r"$\varepsilon$",
    "π": r"$\pi$",
}
"""Characters with a meaning in LaTeX, or without a glyph in its standard fonts."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


def markdown(table: TableLayout) -> str:
    """Return the table with its notes in Markdown."""
    rule = ["---:" if heading in NUMBERS else "---" for heading in table.headings]
    lines = [_markdown_row(table.headings), f"| {' | '.join(rule)} |"]
    lines += [_markdown_row(row) for row in table.rows]
    notes = [f"- {letter}: {_escaped(text)}" for letter, text in table.notes.items()]
    notes += [f"- {_escaped(text)}" for text in table.legend]
    return "\n".join([f"**{_escaped(table.title)}**", "", *lines, *(["", *notes] if notes else []), ""])


def _markdown_row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def latex(table: TableLayout, label: str) -> str:
    r"""Return the table in LaTeX, with the package booktabs; the notes are below it.

    Args:
        table: The table.
        label: Its label, for `\ref`.
    """
    columns = "".join("r" if heading in NUMBERS else "l" for heading in table.headings)
    notes = [f"{letter}: {escaped_latex(text)}" for letter, text in table.notes.items()]
    notes += [escaped_latex(text) for text in table.legend]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escaped_latex(table.title)}}}",
        f"\\label{{tab:{label}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _latex_row(table.headings),
        "\\midrule",
        *map(_latex_row, table.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    if notes:
        lines += ["", "\\medskip", "\\begin{minipage}{\\linewidth}\\footnotesize"]
        lines += [f"{note}\\par" for note in notes]
        lines.append("\\end{minipage}")
    return "\n".join([*lines, "\\end{table}", ""])


def _latex_row(cells: tuple[str, ...]) -> str:
    return f"{' & '.join(escaped_latex(cell) for cell in cells)} \\\\"


def escaped_latex(text: str) -> str:
    """Return a text in which every character stands for itself in LaTeX."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
