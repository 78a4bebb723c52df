"""The same adapters in vLLM, for users who outgrow one process: export as LoRA, command line, start."""
