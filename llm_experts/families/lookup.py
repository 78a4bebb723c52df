"""Table lookup: find a value in a small table that stands in the prompt."""

from __future__ import annotations

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import number_in, says, states
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.words import CITIES, COLOURS, JOBS, NAMES, PETS

WORDS = {"city": CITIES, "job": JOBS, "pet": PETS, "colour": COLOURS}
NUMBERS = ("age", "rooms", "score")


def _draw(draw: Draw, difficulty: float) -> Made:
    columns = draw.sample((*WORDS, *NUMBERS), 1 + int(2.999 * difficulty))
    if difficulty >= 0.7 and not set(columns) & set(NUMBERS):
        columns[-1] = draw.pick(NUMBERS)
    names = draw.sample(NAMES, 2 + int(5 * difficulty))
    cells = {column: _cells(draw, column, len(names)) for column in columns}
    lines = [f"name, {', '.join(columns)}"]
    lines += [", ".join([name, *(cells[column][row] for column in columns)]) for row, name in enumerate(names)]
    asked, answer = _asked(draw, names, cells, difficulty)
    prompt = "\n".join([*lines, f"{asked} Answer:"])
    among = [cell for values in (names, *cells.values()) if answer in values for cell in values if cell != answer]
    return Made(prompt, answer, prompt, {"answer": answer, "among": list(dict.fromkeys(among))})


def _cells(draw: Draw, column: str, count: int) -> list[str]:
    if column in WORDS:
        return [draw.pick(WORDS[column]) for _ in range(count)]
    return [str(number) for number in draw.sample(range(2, 80), count)]


def _asked(draw: Draw, names: list[str], cells: dict[str, list[str]], difficulty: float) -> tuple[str, str]:
    column, row = draw.pick(list(cells)), draw.below(len(names))
    values = cells[column]
    if difficulty >= 0.7 and column in NUMBERS and draw.chance(0.6):
        most = draw.chance(0.5)
        order = sorted(range(len(names)), key=lambda index: int(values[index]), reverse=most)
        return f"Who has the {'highest' if most else 'lowest'} {column}?", names[order[0]]
    if difficulty >= 0.4 and values.count(values[row]) == 1 and draw.chance(0.4):
        return f"Who has {column} {values[row]}?", names[row]
    return f"{column.capitalize()} of {names[row]}?", values[row]


def _check(example: Example, answer: str) -> Verdict:
    wanted = str(example.facts["answer"])
    if wanted.isdigit():
        right = number_in(answer) == int(wanted)
    else:
        right = says(answer, wanted) or states(answer, wanted, example.facts.get("among", ()))
    return Verdict(True) if right else Verdict(False, f"it does not say {wanted}")


FAMILY = Family(
    name="lookup",
    label="Table lookup",
    about="Find a value, or whose it is, in a small table of the prompt.",
    scores=("correct", "exact_match"),
    longest_answer=8,
    make=generated("lookup", _draw),
    check=_check,
)
