"""Plain sentences on no subject of any domain: how well a model still reads is told by their perplexity."""

from __future__ import annotations

NEUTRAL = (
    "The river rises in the hills and runs slowly through the valley to the sea.",
    "In the morning the baker opens the shop and puts the warm bread in the window.",
    "Rain fell for three days, and on the fourth the sun came out again.",
    "The old bridge was built of stone and has stood for two hundred years.",
    "Birds fly south in the autumn because there is little food for them in the winter.",
    "The library is open every day except on Sunday, and anyone may read there.",
    "A letter came from the north with news of the harvest and of the new school.",
    "The train stops at the small station only when somebody waits on the platform.",
    "Trees give shade in the summer and wood for the fire in the winter.",
    "The teacher wrote a short sentence on the board and asked the class to read it.",
    "Ships bring coffee and sugar to the harbour and leave with cloth and tools.",
    "At night the street was quiet, and only the clock of the church could be heard.",
    "The garden has a wall of red brick, and roses grow along it.",
    "Snow covered the fields, so the farmers stayed at home and mended their tools.",
    "The museum shows coins, maps and pictures from the time when the town was founded.",
    "Water boils sooner on a mountain than it does by the sea.",
    "The road to the village is narrow, and two carts can hardly pass each other.",
    "Every spring the market fills with flowers, young plants and seeds.",
    "The doctor said that rest and fresh air would do more than any medicine.",
    "Paper was once made of old cloth, which was torn, soaked and pressed.",
    "The lamp on the table gave enough light to read by, but not to sew.",
    "When the tide is low one can walk over the sand to the island.",
    "The orchestra played for an hour, and then the people went home through the park.",
    "Bread, cheese and apples are all that one needs for a walk of a day.",
)
