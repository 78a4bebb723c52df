"""The router's policies of words, and prototypes beside the forward pass whose hidden state they read.

Run with ``python -m benchmarks.speed router``. Goals: at most 50 microseconds for 10 experts with 20 keywords each,
at most 500 for 1,000 experts, all other policies of words included; prototypes of 10 experts at most 1 ms. One thread,
medians of CPU time over rounds of many prompts. Every expert also has one keyword that all share, so that the most that
a prompt can hit is timed too ("shared").
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch

from benchmarks.speed.timing import seconds
from foundation.seeding import torch_generator
from serving.router import ExpertProfile, Router, RouterConfig
from serving.router.policies.prototypes import PrototypePolicy

PROMPTS = 200
KEYWORDS = 20
WIDTH = 1024
TEXT = "Please write a word{0}x1 query that lists the word{0}x2 of all {1} who are older than 30 and live in word{2}x3"


def profiles(count: int) -> list[ExpertProfile]:
    """Experts with keywords of their own and one of all."""
    return [
        ExpertProfile(
            f"expert-{k}",
            keywords=("everybody", *(f"word{k}x{i}" for i in range(KEYWORDS - 1))),
            exclude_keywords=(f"not{k}",),
            capabilities=(f"kind:cap{k}",),
            priority=0.4 + 0.2 * (k % 2),
        )
        for k in range(count)
    ]


def microseconds(work: Callable[[str], object], texts: list[str], rounds: int) -> float:
    """Median over rounds of the time per prompt."""

    def all_of_them() -> None:
        for text in texts:
            work(text)

    all_of_them()
    return statistics.median(seconds(all_of_them) for _ in range(rounds)) / len(texts) * 1e6


def main() -> None:
    """Print the times and their goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (default 15)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for count, goal in ((10, 50), (1000, 500)):
        router = Router.of(profiles(count))
        for what, word in (("", "users"), (", shared keyword", "everybody")):
            texts = [TEXT.format(k % count, word, (k * 7) % count) for k in range(PROMPTS)]
            found = microseconds(router.route, texts, rounds)
            print(f"{count} experts x {KEYWORDS} keywords{what}: {found:.0f} us a prompt (goal {goal})", flush=True)
    generator = torch_generator(0, "states")
    names = [f"expert-{k % 10}" for k in range(100)] + ["base"] * 50
    centres = torch.randn(10, WIDTH, generator=generator)
    noise = torch.randn(150, WIDTH, generator=generator)
    states = noise + torch.cat([centres[[k % 10 for k in range(100)]], torch.zeros(50, WIDTH)])
    policy = PrototypePolicy.fit(states, names)
    router = Router.of(profiles(10), RouterConfig(order=("generic", "keywords", "prototypes")), fitted=[policy])
    texts = [TEXT.format(k % 10, "users", 3) for k in range(PROMPTS)]
    found = microseconds(lambda text: router.route(text, states[3]), texts, rounds)
    print(f"with prototypes of 10 experts, {WIDTH} wide, state given: {found:.0f} us a prompt (goal 1000)")


if __name__ == "__main__":
    main()
