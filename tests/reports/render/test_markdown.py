from reports.render.markdown import render_markdown


def test_tables_are_rectangular_and_hold_the_numbers_of_the_page(report):
    text = render_markdown(report)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    by_task = [2 * len(s.sections) + 2 for s in report.scenarios]
    assert len(tables) == 3 + len(report.ranking.pools) + sum(by_task)
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    german = report.scenarios[0].test["mixture", "utility@1"]
    assert f"| Mixture | {german.mean:.3f} ±{german.half:.3f} |" in text


def test_flags(report):
    text = render_markdown(report)
    assert "Constant predictor (constant)" in text and "n/e" in text and " ○" in text
