"""Questions to somebody whom the first lines describe: does the answer stay in the part?"""

from __future__ import annotations

from foundation.seeding import derive_seed
from llm_experts.bases.base import Base
from llm_experts.data.example import Example, Message
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.words import CITIES, COLOURS, JOBS, NAMES, PETS
from llm_experts.prompts.chat import has_template

NAME = "persona"
FACTS: dict[str, tuple[str, ...]] = {"name": NAMES, "job": JOBS, "city": CITIES, "pet": PETS, "colour": COLOURS}
QUESTIONS: dict[str, tuple[str, str]] = {
    "name": ("What is your name?", "My name is {}."),
    "job": ("What is your job?", "My job: {}."),
    "city": ("Where do you live?", "I live in {}."),
    "pet": ("What pet do you have?", "My pet: {}."),
    "colour": ("What is your favourite colour?", "My favourite colour is {}."),
}
OUTSIDE = "I am a language model and have none."
"""What nobody says who plays a part."""


def persona_scenarios(base: Base, count: int, seed: int = 0) -> list[Scenario]:
    """Questions with the persona's answer, those of two others, and one from outside the part.

    A base with a conversation's template gets the persona as its system prompt; others get it as the first lines.
    """
    return [_scenario(base, Draw(derive_seed(seed, NAME, number)), number) for number in range(count)]


def _scenario(base: Base, draw: Draw, number: int) -> Scenario:
    people = {key: draw.sample(values, 3) for key, values in FACTS.items()}
    own = {key: three[0] for key, three in people.items()}
    asked = draw.pick(tuple(QUESTIONS))
    question, answer = QUESTIONS[asked]
    system = (
        f"You are {own['name']}, living in {own['city']}. Job: {own['job']}. Pet: {own['pet']}. Favourite colour: "
        f"{own['colour']}. Stay in this part."
    )
    prompt: str | tuple[Message, ...] = f"{system}\nQuestion: {question}\nAnswer:"
    if has_template(base):
        prompt = (Message("system", system), Message("user", question))
    right, *others = (answer.format(value) for value in people[asked])
    return Scenario(NAME, Example(f"{NAME}-{number}", prompt, right), (right, *others, OUTSIDE))
