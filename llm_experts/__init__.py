"""LLM adapter experts: base models, adapters, objectives, trainers, mixtures, search and bias sets."""

import logging


def _of_use(record: logging.LogRecord) -> bool:
    """Whether a word of bitsandbytes is of use: that an optional kernel is not installed is not."""
    return "gemm_4bit_forward" not in record.getMessage()


# it speaks when it is imported, which any room may be the first to do
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_of_use)
