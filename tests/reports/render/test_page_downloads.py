"""Tables beside the page: numbers that read back, LaTeX that is well formed."""

import csv
import io
import re

import pytest

from reports.render.downloads import csv_text, status, tables, write_tables
from reports.render.latex import escape, latex_table


def test_csv_reads_back_to_the_estimates(report):
    german = next(s for s in report.scenarios if s.name == "german")
    table = next(t for t in tables(report) if t.name == "methods-german")
    records = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert len(records) == len({(r["method"], r["metric"]) for r in records})
    for record in records:
        e = german.test[record["method"], record["metric"]]
        assert float(record["mean"]) == e.mean and record["status"] == status(e)
        assert int(record["splits"]) == e.known == 5
        assert (record["smallest_group"], record["smallest_group_rows"]) == ("male", "110.0")
    assert {r["status"] for r in records if r["method"] == "constant"} == {"ok", "constant"}


def test_what_has_no_number_is_empty_with_its_status(report):
    table = next(t for t in tables(report) if t.name == "methods-compas-race")
    gone = [r for r in csv.DictReader(io.StringIO(csv_text(table))) if r["metric"] == "vef@1"]
    assert gone
    for record in gone:
        assert (record["mean"], record["status"]) == ("", "not_estimable")
        assert "Hispanic" in record["reason"]


def test_every_latex_file_is_balanced_and_names_its_suite(report, tmp_path):
    paths = write_tables(report, tmp_path)
    assert {p.suffix for p in paths} == {".csv", ".tex"} and all(p.parent == tmp_path / "tables" for p in paths)
    for path in paths:
        if path.suffix == ".tex":
            text = path.read_text(encoding="utf-8")
            bare = re.sub(r"\\[\\{}$&#_%]", "", text)
            assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
            assert not set(bare) & set("#%_") and "hash ffffffffffff" in text
            columns = len(re.search(r"\\begin\{tabular\}\{(l+r*)\}", text).group(1))
            rows = [line for line in text.splitlines() if line.endswith(r" \\")]
            assert len(rows) > 2 and all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 for row in rows)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("50 % of a_b & #1", r"50 \% of a\_b \& \#1"),
        ("\\{x}$^~", r"\textbackslash{}\{x\}\$\textasciicircum{}\textasciitilde{}"),
        ("−0.5 ±0.1, λ ≤ 2", r"$-$0.5 $\pm$0.1, $\lambda$ $\leq$ 2"),
        ("Müller 漢", "Müller ?"),
    ],
)
def test_escape(text, wanted):
    assert escape(text) == wanted


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="has 1 cells for 2 columns"):
        latex_table("c", "l", ("a", "b"), [("1",)])
