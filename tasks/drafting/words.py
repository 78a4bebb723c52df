"""Names of columns as words, and which names say what a column is."""

from __future__ import annotations

import re
import unicodedata

_LABEL = re.compile(
    r"label|target|outcome|approv|default|recid|readmi|admit|admission|hired|churn|terminat|surviv|fraud|decision"
    r"|\b(class(es)?|results?|good|pass(ed)?|income|risk|granted|accepted)\b|^y$"
    r"|\b(ziel|ergebnis|bewilligt|zusage|kredit(w[uü]rdig\w*|ausfall)|resultado|aprobado|objetivo|r[ée]sultat|accord[ée]|"
    r"esito|uitkomst)\b",
    re.I,
)
_OUTCOME = re.compile(
    r"label|target|outcome|decision|\bresults?\b|^(class|classes|y)$|\b(ergebnis|resultado|r[ée]sultat)\b", re.I
)
"""Names that say nothing but that this is what came out."""
_SENSITIVE = re.compile(
    r"gender|ethnic|relig|marital|foreign|disab|minorit|geschlecht|staatsangeh|nationalit|behinder|familienstand|migrant|ausländ|auslaend"
    r"|\b(sex|nation(?!wide)|birth|skin)|\b(race|racial|age|aged|ages|agep|agecat|agegroup)\b"
    r"|\b(black|white|non ?white|non ?black|latin[oax]|hispanic|asian|african|afam|afro|caucasian)\b"
    r"|\b(migra(nt|tion)\w*|immigra\w*|refugee|ausl(a|ae|ä)nder\w*|female|male|woman|women|gay|lgbt\w*|pregnan\w*)\b"
    r"|\b(sexo|sexe|sesso|kön|geslacht|herkunft|rasse|raza|etnia|nacionalidad|cittadinanza|alter|lebensalter|edad|età|"
    r"âge|leeftijd|civil status|estado civil|discapacidad|handicap|konfession|caste|citizenship|veteran)\b",
    re.I,
)
_SEX = re.compile(r"\b(fe)?male\b|\bwom[ae]n\b|sex|gender|geschlecht|sesso|\bkön\b|geslacht", re.I)
_RACE = re.compile(
    r"\b(non ?)?(black|white)\b|\b(afam|afro|african|hispanic|latin[oax]|caucasian)\b"
    r"|\brace|racial|ethnic|\bras(se)?\b|\braza\b|etnia",
    re.I,
)
_AGE = re.compile(r"\b(age|aged|ages|agep|alter|lebensalter|edad|età|âge|leeftijd)\b", re.I)
_TRAIT = re.compile(
    r"\b(married|single|divorced|widowed|children|kids|parent|mother|father|household|famil\w*|dependents?|language|"
    r"native|born|citizen|country|region|urban|rural|city|student|educat\w*|college|degree|school|poor|welfare|union|"
    r"verheiratet|ledig|kinder|sprache|deutsch|land|gehbehindert|schwanger)\b",
    re.I,
)
"""Names that say something of a person's life."""
_IDENTIFIER = re.compile(
    r"(^|[_\W])(id|key|uuid|index|name|email|phone|nr|no|nummer|number|code)$|^(id|index|(?i:unnamed))\b|\bid$|Id$|ID$"
)
_UNIT = re.compile(
    r"(person|patient|customer|client|student|pupil|user|employee|worker|applicant|subject|participant|member|household"
    r"|family|kunde|kunden|schüler|mitarbeiter|cliente|paciente|alumno|individual|respondent|defendant)"
    r"( (id|nr|no|number|nbr|code|key|uuid|name))?$",
    re.I,
)
_LETTERS = str.maketrans({"ß": "ss", "ä": "ae", "ö": "oe", "ü": "ue", "ø": "o", "æ": "ae", "ł": "l", "đ": "d"})


def words_of(name: str) -> str:
    """A column's name as words, with all its letters: "ageYears" is "age years", "Größe_cm" is "größe cm"."""
    spaced = re.sub(r"([a-zß-öø-ÿ0-9])([A-ZÀ-ÖØ-Þ])", r"\1 \2", name)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower() or name


def plain(name: str) -> str:
    """Letters a to z, digits and underscores alone, for names of tasks: "Größe (cm)" is "groesse_cm"."""
    folded = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS))
    kept = "".join(char for char in folded if not unicodedata.combining(char))
    return re.sub(r"[^0-9a-z]+", "_", kept).strip("_")


def named_like_a_label(name: str) -> bool:
    """Whether the name says that this is what is to be predicted."""
    return bool(_LABEL.search(words_of(name))) and not named_like_a_group(name)


def named_like_an_outcome(name: str) -> bool:
    """Whether the name says nothing but that this is what came out."""
    return bool(_OUTCOME.search(words_of(name))) and not named_like_a_group(name)


def named_like_a_group(name: str) -> bool:
    """Whether the name is that of a sensitive attribute."""
    return bool(_SENSITIVE.search(words_of(name)))


def named_like_a_trait(name: str) -> bool:
    """Whether the name says something of a person's life, by which people may be treated unlike."""
    return bool(_TRAIT.search(words_of(name)))


def named_like_an_age(name: str) -> bool:
    """Whether the name is that of an age."""
    return bool(_AGE.search(words_of(name)))


def named_like_an_identifier(name: str) -> bool:
    """Whether the name is that of a key."""
    return bool(_IDENTIFIER.search(name))


def named_like_a_unit(name: str) -> bool:
    """Whether the name is that of persons who may have several rows."""
    if named_like_a_group(name) or named_like_a_label(name):
        return False
    return bool(_UNIT.search(words_of(name))) or bool(re.search(r"(^|[_\W])(id|uuid|key)$|Id$|ID$|^id\b", name))


def group_order(name: str) -> int:
    """Sex first, then race, then all others."""
    words = words_of(name)
    return 0 if _SEX.search(words) else 1 if _RACE.search(words) else 2
