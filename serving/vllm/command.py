"""vLLM's command line for a base and exported adapters, and its start."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.error import ServingError
from serving.vllm.exported import RANKS, Exported

PROGRAM = "vllm"
KEY = "VLLM_API_KEY"
"""Where vLLM reads its key: a command line can be read by everybody on the machine."""


@dataclass(frozen=True)
class Command:
    """What starts vLLM.

    Attributes
    ----------
    words : tuple of str
        Program and arguments.
    environment : mapping
        What is added to the environment.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def text(self) -> str:
        """For a shell; keys are left out."""
        return shlex.join(self.words)

    def start(self) -> None:
        """Become vLLM: this process is replaced."""
        os.execve(self.words[0], self.words, {**os.environ, **self.environment})


def program(given: Path | None) -> str:
    """Path of vLLM's program: the given one, or the one that a shell finds.

    Raises
    ------
    ServingError
        ``no-base``: there is none; the text says how to install it.
    """
    found = shutil.which(str(given)) if given is not None else shutil.which(PROGRAM)
    if found is None:
        where = f"at {given}" if given is not None else "on the PATH"
        raise ServingError(
            "no-base",
            f"There is no program {PROGRAM} {where}. vLLM pins its own torch, so give it an environment of its own "
            "(Linux; a GPU for speed): python -m venv vllm-env && vllm-env/bin/pip install vllm, "
            "then fairmoe serve --engine vllm --vllm vllm-env/bin/vllm. The adapters are exported already.",
        )
    return found


def command(
    found: str, base: str, adapters: Sequence[Exported], *, host: str, port: int, slots: int, key: str | None = None
) -> Command:
    """The command line.

    Parameters
    ----------
    found : str
        Of :func:`program`.
    base : str
        Folder or Hugging Face id.
    adapters : sequence of Exported
    host, port
    slots : int
        Adapters in a batch at once.
    key : str, optional
        API key, given by the environment.
    """
    words = [found, "serve", base, "--host", host, "--port", str(port), "--served-model-name", "base"]
    if adapters:
        highest = max(adapter.rank for adapter in adapters)
        rank = next(rank for rank in RANKS if rank >= highest)
        words += ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", str(min(slots, len(adapters)))]
        words += ["--lora-modules", *(f"{adapter.name}={adapter.folder}" for adapter in adapters)]
    return Command(tuple(words), {} if key is None else {KEY: key})
