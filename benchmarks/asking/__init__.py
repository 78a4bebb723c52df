"""What users bring to the engine from a shell: conversations, and files of prompts or rows."""
