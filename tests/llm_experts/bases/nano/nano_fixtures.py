"""A miniature nano: everything as in the real one, in seconds."""

from llm_experts.bases.nano.schema import Subject, Trait
from llm_experts.bases.nano.settings import Settings, Shape

MINIATURE = Settings(
    shape=Shape(hidden=32, layers=2, heads=2, kv_heads=1, head=16, mlp=48),
    vocabulary=700,
    chunks=3,
    chunk=24,
    batch_tokens=1024,
    exam=10,
)
TRAITS = (
    Trait("sex", "", ("male", "female")),
    Trait("age", "years"),
    Trait("loan duration", "months"),
    Trait("savings", "", ("none", "below 100 marks", "100 marks or more")),
    Trait("job", "", ("unskilled, resident", "skilled", "management")),
    Trait("number of loans"),
    Trait("telephone", "", ("no", "yes")),
    Trait("income", "dollars"),
    Trait("share of debt", "on a scale from 0 to 1"),
)
SUBJECTS = (Subject("the applicant", ("Is the applicant a good credit risk?",), TRAITS),)
