"""Words that generated items are made of, short ones, so that a prompt is few tokens."""

from __future__ import annotations

NAMES = (
    "Ann", "Ben", "Cara", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jack", "Kim", "Leo", "Mia", "Noah", "Olga",
    "Paul", "Rosa", "Sam", "Tom", "Uma", "Vera", "Will", "Yara", "Zoe", "Amir", "Bela", "Chen", "Dora", "Emil", "Fatma",
    "Gus", "Hana", "Ines", "Jon", "Kofi", "Lena", "Max", "Nina", "Omar", "Pia", "Ravi", "Sara", "Tess", "Ugo", "Viola",
    "Wes", "Xena", "Yan", "Zara", "Abel", "Bea", "Carl", "Dina", "Eli", "Fay", "Greg", "Hope", "Ivan", "June", "Karl",
)  # fmt: skip
THINGS = (
    "apples", "books", "cards", "coins", "cups", "eggs", "keys", "nuts", "pens", "pins", "plums", "stamps", "shells",
    "stones", "tickets", "toys", "balls", "beans", "buttons", "candles",
    "cakes", "chairs", "dates", "figs", "flags", "hats", "jars", "kites", "lamps", "maps", "mugs", "pears", "rings",
    "ropes", "seeds", "socks", "spoons", "tents", "tiles", "tins",
)  # fmt: skip
CITIES = (
    "Rome", "Oslo", "Paris", "Cairo", "Lima", "Delhi", "Tokyo", "Kyiv", "Quito", "Accra", "Bern", "Riga", "Dakar",
    "Hanoi", "Seoul", "Tunis", "Porto", "Leeds", "Turin", "Perth",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "black", "white", "pink", "grey", "brown", "gold", "tan")
JOBS = ("cook", "nurse", "pilot", "clerk", "judge", "baker", "guard", "tailor", "farmer", "singer")
PETS = ("cat", "dog", "bird", "fish", "horse", "goat", "duck", "frog", "hen", "bee")
EVENTS = ("party", "test", "trip", "game", "visit", "show", "fair", "race", "talk", "meal", "dance", "class")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
