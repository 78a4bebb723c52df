"""Names of packages, versions and ranges of versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from artefacts.format.error import PackageError

LONGEST_NAME = 64
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_CORE = r"(0|[1-9][0-9]{0,8})"
_IDENTIFIER = r"(?:0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"{_CORE}\.{_CORE}\.{_CORE}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?\Z"
)
_LONGEST_VERSION, _LONGEST_RANGE = 100, 200
_PARTIAL = re.compile(rf"{_CORE}(?:\.{_CORE}(?:\.[xX*])?|(?:\.[xX*]){{1,2}})?\Z")
_OPERATORS = (">=", "<=", "==", "!=", ">", "<", "=", "^", "~")
_LOOK_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "2": "z", "-": None})


def check_name(name: str) -> str:
    """A package's name as it is: ASCII lower-case letters, digits and single hyphens, at most 64.

    Raises
    ------
    PackageError
        ``name-length``; ``name-look-alike`` if a sign is outside ASCII, which other letters can be taken for; ``name``.
    """
    if not 0 < len(name) <= LONGEST_NAME:
        raise PackageError("name-length", f"A package's name has 1 to {LONGEST_NAME} signs, not {len(name):,}.")
    if not name.isascii():
        odd = next(sign for sign in name if not sign.isascii())
        raise PackageError(
            "name-look-alike",
            f"The package's name {name!a} has U+{ord(odd):04X}, which looks like another; names are a-z, 0-9 and -.",
        )
    if not _NAME.match(name):
        raise PackageError("name", f"{name!a} is no package's name: a-z, 0-9 and single hyphens between them.")
    return name


def skeleton(name: str) -> str:
    """What a name looks like at a glance; two names with one skeleton are taken for each other.

    Examples
    --------
    >>> skeleton("f1n-german") == skeleton("fln-german") == skeleton("fin-german")
    True
    """
    return name.translate(_LOOK_ALIKE).replace("rn", "m").replace("vv", "w")


@total_ordering
@dataclass(frozen=True)
class Version:
    """A semantic version (semver.org, 2.0.0). Two that differ only by build are equal in order, not the same."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``1.2.3``, ``1.2.3-rc.1`` or ``1.2.3+build``.

        Raises
        ------
        PackageError
            ``version``.
        """
        found = _VERSION.match(text) if len(text) <= _LONGEST_VERSION else None
        if found is None:
            raise PackageError("version", f"{text[:80]!a} is no semantic version, such as 1.2.0 or 1.2.0-rc.1.")
        major, minor, patch, prerelease, build = found.groups()
        parts = tuple(prerelease.split(".")) if prerelease else ()
        return cls(int(major), int(minor), int(patch), parts, build or "")

    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return (
            f"{core}{'-' if self.prerelease else ''}{'.'.join(self.prerelease)}{'+' if self.build else ''}{self.build}"
        )

    @property
    def core(self) -> tuple[int, int, int]:
        """Major, minor, patch."""
        return self.major, self.minor, self.patch

    def _order(self) -> tuple[object, ...]:
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease)
        return (*self.core, not self.prerelease, parts)

    def __lt__(self, other: Version) -> bool:
        return self._order() < other._order()


@dataclass(frozen=True)
class _Bound:
    operator: str
    version: Version

    def holds(self, version: Version) -> bool:
        """Whether a version is on this side of the bound."""
        equal = version._order() == self.version._order()
        if self.operator in ("==", "!="):
            return equal == (self.operator == "==")
        return (equal and "=" in self.operator) or (
            version < self.version if self.operator[0] == "<" else self.version < version
        )


@dataclass(frozen=True)
class Range:
    """Which versions will do; ``version in range`` asks.

    A prerelease is in a range only if the range itself names a prerelease of the same major.minor.patch.
    """

    text: str
    bounds: tuple[_Bound, ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read ``*``, ``1.2.3``, ``1.2.x``, ``^1.2``, ``~1.2``, ``>=1,<2``; commas mean *and*.

        Raises
        ------
        PackageError
            ``range``.
        """
        if len(text) > _LONGEST_RANGE:
            raise PackageError("range", f"A range of versions has at most {_LONGEST_RANGE} signs, not {len(text):,}.")
        bounds: list[_Bound] = []
        for part in text.split(","):
            bounds += _bounds(part.strip(), text)
        return cls(text, tuple(bounds))

    def __contains__(self, version: Version) -> bool:
        if version.prerelease and not any(
            bound.version.prerelease and bound.version.core == version.core for bound in self.bounds
        ):
            return False
        return all(bound.holds(version) for bound in self.bounds)

    def __str__(self) -> str:
        return self.text


def _bounds(part: str, text: str) -> list[_Bound]:
    if part in ("*", "x", "X"):
        return []
    operator = next((sign for sign in _OPERATORS if part.startswith(sign)), "")
    rest = part[len(operator) :].strip()
    full = _VERSION.match(rest)
    partial = _PARTIAL.match(rest) if full is None else None
    if full is None and partial is None:
        raise PackageError("range", f"{text[:80]!a} is no range of versions, such as ^1.2, >=1,<2, 1.2.x or *.")
    if full is not None:
        low, known = Version.parse(rest), 3
    else:
        numbers = [int(word) for word in re.split(r"[.]", rest) if word.isdigit()]
        known = len(numbers)
        major, minor, patch = [*numbers, 0, 0][:3]
        low = Version(major, minor, patch)
    return _span(operator, low, known)


def _span(operator: str, low: Version, known: int) -> list[_Bound]:
    """What an operator before a version of ``known`` numbers means."""
    if operator == "^":
        place = next((i for i, number in enumerate(low.core[:known]) if number), known - 1)
        return [_Bound(">=", low), _Bound("<", _next(low, place))]
    if operator == "~":
        return [_Bound(">=", low), _Bound("<", _next(low, min(known, 2) - 1))]
    if known == 3:
        return [_Bound("==" if operator in ("", "=") else operator, low)]
    above = _next(low, known - 1)
    whole = {
        "": [_Bound(">=", low), _Bound("<", above)], ">=": [_Bound(">=", low)], "<": [_Bound("<", low)],
        ">": [_Bound(">=", Version(*above.core))], "<=": [_Bound("<", above)],
    }  # fmt: skip
    key = "" if operator in ("=", "==") else operator
    if key not in whole:
        raise PackageError("range", f"{operator}{low} leaves numbers out; '{operator}' needs all three.")
    return whole[key]


def _next(version: Version, place: int) -> Version:
    """The first version after all that share the numbers up to ``place``; its prereleases are outside too."""
    numbers = [*version.core[:place], version.core[place] + 1, 0, 0][:3]
    return Version(numbers[0], numbers[1], numbers[2], ("0",))
