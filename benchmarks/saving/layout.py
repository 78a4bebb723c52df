"""Files of a saved model, and the version of their format."""

from __future__ import annotations

FORMAT = "fairmoe-model/1"
MODEL, ENCODER, CARD, EXPERT = "model.json", "encoder.json", "card.json", "expert"
