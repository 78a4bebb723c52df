"""Words that generated items are made of.

They are short, and answers among them are made of tokens that nano met when it was pretrained: the others are one point
in its head, so that no adapter below the head can tell them apart.
"""

from __future__ import annotations

NAMES = (
    "Ann", "Ben", "Finn", "Gina", "Amir", "Bela", "Gus", "Omar", "Sara", "Abel", "Bea", "Fay", "Greg", "Ada",
    "Alan", "Amy", "Beth", "Bill", "Bob", "Boris", "Bram", "Burt", "Farid", "Fern", "Fred", "Gail", "Gary", "Gerd",
    "Glen", "Gwen", "Olaf", "Ole", "Ora", "Otis", "Owen", "Pat", "Patti", "Pedro", "Per", "Pete", "Petra", "Sal",
    "Sandra", "Seth", "Sid", "Sten",
)  # fmt: skip
THINGS = (
    "books", "nuts", "pens", "pins", "balls", "beans", "mugs", "rings", "tents", "tiles", "tins", "bags", "bins",
    "cans", "fans", "forks", "lids", "mats", "nets", "pans", "sets", "tags", "tyres", "vests", "wands",
)  # fmt: skip
CITIES = (
    "Oslo", "Paris", "Bern", "Perth", "Bergen", "Aden", "Brest", "Faro", "Graz", "Oran", "Pisa", "Surat",
)  # fmt: skip
COLOURS = (
    "red", "blue", "green", "black", "white", "pink", "grey", "brown", "tan", "beige", "amber", "lilac", "orange",
    "teal",
)  # fmt: skip
JOBS = (
    "nurse", "painter", "printer", "tutor", "carter", "vet", "banker",
)  # fmt: skip
PETS = (
    "cat", "dog", "bird", "fish", "goat", "frog", "hen", "bee", "rat", "seal", "deer", "crab", "canary",
)  # fmt: skip
EVENTS = ("party", "test", "trip", "game", "visit", "show", "fair", "race", "talk", "meal", "dance", "class")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
