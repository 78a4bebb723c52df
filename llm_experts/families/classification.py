"""Classification of made sentences whose label needs reading: denials, contrasts, and of what is asked."""

from __future__ import annotations

from llm_experts.families.family import Family
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.labels import check_label
from llm_experts.families.shared.words import NAMES

LABELS = ("yes", "no")
ASPECTS = (
    "soup", "room", "film", "book", "staff", "price", "view", "road", "song", "tea", "bed", "hall", "game", "light",
    "wine", "bread", "show", "plan", "shop", "talk",
    "desk", "park", "fruit", "phone", "ride", "garden", "play", "cake", "coat", "food",
)  # fmt: skip
GOOD = (
    "great", "fine", "nice", "lovely", "superb", "clean", "fresh", "pleasant", "bright", "charming", "perfect", "neat",
)  # fmt: skip
BAD = ("poor", "awful", "dull", "dirty", "weak", "sad", "stale", "nasty", "cheap", "horrid", "broken", "grim")
DEGREES = ("", "very ", "quite ", "really ", "truly ", "so ", "just ", "rather ")


def _draw(draw: Draw, difficulty: float) -> Made:
    aspects = draw.sample(ASPECTS, 1 + (difficulty >= 0.4) + (difficulty >= 0.8))
    clauses, labels = zip(*(_clause(draw, aspect, difficulty) for aspect in aspects), strict=True)
    text = " but ".join((", ".join(clauses[:-1]), clauses[-1])) if len(clauses) > 1 else clauses[0]
    name, asked = draw.pick(NAMES), draw.below(len(aspects))
    said = f"{text}. Is the {aspects[asked]} good, yes or no?"
    label = labels[asked]
    return Made(f"{name} says: {said} Answer:", label, said, {"label": label, "labels": list(LABELS)})


def _clause(draw: Draw, aspect: str, difficulty: float) -> tuple[str, str]:
    """What is said of one thing, and how it is meant: "not great" is bad, and where that is wrong, good again."""
    good = draw.chance(0.5)
    denied = difficulty >= 0.2 and draw.chance(0.5)
    twice = denied and difficulty >= 0.6 and draw.chance(0.3)
    words = GOOD if good != (denied and not twice) else BAD
    said = f"the {aspect} was {'not ' if denied else ''}{'' if denied else draw.pick(DEGREES)}{draw.pick(words)}"
    return (f"it is wrong that {said}" if twice else said), LABELS[0] if good else LABELS[1]


FAMILY = Family(
    name="classification",
    label="Classification",
    about="Does a sentence call one thing good? Denials and contrasts included; yes or no.",
    scores=("correct", "accuracy", "f1"),
    longest_answer=4,
    make=generated("classification", _draw),
    check=check_label,
)
