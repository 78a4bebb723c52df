import dataclasses

from reports.render.sentences import answers


def test_every_reference_of_the_mixture_is_named_once_by_its_verdict(report):
    found = dict(answers(report))
    assert list(found) == ["utility", "result unfairness", "procedural unfairness", "final score"]
    for sentence in found.values():
        for name in ("best single expert", "static weights", "uniform mixture", "combined-loss MLP", "HistGrad"):
            assert sentence.count(name) == 1


def test_wording(report):
    changed = {
        (a, b, m): dataclasses.replace(p, verdict="better" if b in ("uniform", "static_simplex") else "not estimable")
        for (a, b, m), p in report.pooled.items()
    }
    changed["mixture", "best_single", "utility@1"] = dataclasses.replace(
        report.pooled["mixture", "best_single", "utility@1"], verdict="identical"
    )
    sentences = dict(answers(dataclasses.replace(report, pooled=changed)))
    assert sentences["utility"] == (
        "surely better than static weights and uniform mixture; identical to best single expert"
    )
    assert sentences["final score"] == "surely better than static weights and uniform mixture"
