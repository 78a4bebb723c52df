"""Roman numerals: what number is it?"""

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import number_in
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated

SIGNS = {
    1000: "M", 900: "CM", 500: "D", 400: "CD", 100: "C", 90: "XC", 50: "L", 40: "XL", 10: "X", 9: "IX", 5: "V",
    4: "IV", 1: "I",
}  # fmt: skip


def draw_item(draw: Draw, difficulty: float) -> Made:
    number = left = draw.between(1, 400 + int(3500 * difficulty))
    text = ""
    for value, sign in SIGNS.items():
        text, left = text + sign * (left // value), left % value
    return Made(f"{text} as a number? Answer:", str(number), content=text, facts={"answer": number})


def check(example: Example, answer: str) -> Verdict:
    said, wanted = number_in(answer), example.facts["answer"]
    return Verdict(True) if said == wanted else Verdict(False, f"{said} is not {wanted}")


FAMILY = Family(
    name="roman",
    label="Roman numerals",
    about="Read a Roman numeral.",
    scores=("correct", "exact_match"),
    longest_answer=6,
    make=generated("roman", draw_item),
    check=check,
)
