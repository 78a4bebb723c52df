"""Where the published files of the bias sets are, how they are checked and under which licence they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.card import SourceFile
from tasks.fetch import fetch


class BiasError(ValueError):
    """A bias set or a scorer that cannot be used; the text says what to do."""


@dataclass(frozen=True)
class Source:
    """One published bias set.

    Attributes
    ----------
    name, title, homepage, licence, citation : str
        As published.
    file : tuple of SourceFile
        Address, size and sha256 of the published bytes, and the path in a mirror.
    notes : tuple of str
        What a reader of its numbers has to know.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    file: tuple[SourceFile, ...]
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    def paths(self) -> dict[str, Path]:
        """Checked local files by name, downloaded if need be (:func:`tasks.fetch.fetch`)."""
        return fetch(self, progress=False)


def _file(
    folder: str, base: str, name: str, size: int, sha256: str, *, packed: bool = False, at: str = ""
) -> SourceFile:
    """Address ``base/at`` (``at`` defaults to the name); in ``folder`` of the mirror, gzipped if ``packed``."""
    mirror = f"{folder}/{name}" + (".gz" if packed else "")
    return SourceFile(name=name, url=f"{base}/{at or name}", sha256=sha256, bytes=size, mirror=mirror)


_RAW = "https://raw.githubusercontent.com"
_BBQ = f"{_RAW}/nyu-mll/BBQ/bea11bd97d79217245b5871acd247b9d6eb24598/data"
_CROWS = f"{_RAW}/nyu-mll/crows-pairs/8aaac11c485473159ec9328a65253a5be9a479dc/data"
_STEREO = f"{_RAW}/enjoeyland/unlearning_bias/75670316d9a2e138b8a5d52e64c442160b701557/data"
_WINO = f"{_RAW}/uclanlp/corefBias/0bce984dd081bbc10b0622f326727a024c607895/WinoBias/wino/data"

_BBQ_FILES = (
    ("Age.jsonl", 3091834, "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60"),
    ("Disability_status.jsonl", 1336984, "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f"),
    ("Nationality.jsonl", 2900040, "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090"),
    ("Physical_appearance.jsonl", 1347476, "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb"),
    ("Religion.jsonl", 1118728, "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616"),
    ("Sexual_orientation.jsonl", 729010, "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd"),
)
_WINO_FILES = (
    ("pro_stereotyped_type1.txt.dev", 32786, "dd55a0d220fe4c0ceb63dd4648223fb4fe1a58d5ad95c116a002ad24b0e292a5"),
    ("pro_stereotyped_type1.txt.test", 34820, "db7838907238a758eeb5779e48f38c013b892910d6fe864456c59f04245c6689"),
    ("pro_stereotyped_type2.txt.dev", 30884, "8f0250de723cea9328e3eaf7169e07936f01aa5909ce7aa580db66eb803f4e86"),
    ("pro_stereotyped_type2.txt.test", 31749, "ea1c1fd94fa612e3cc44d7fa3cc4cb76021bb63fdf94f9826f430051e9052438"),
    ("anti_stereotyped_type1.txt.dev", 32782, "a4e0ebae344e78b56f657a42e8ae684b9db7747d177c5e7149c0907ebb7f3bf6"),
    ("anti_stereotyped_type1.txt.test", 34778, "331db5bd74bfefebf146a60b67645152a4a1991570d2a56f57154103ac361dd2"),
    ("anti_stereotyped_type2.txt.dev", 30875, "763ad829ad724f9a85ead689ba8ca69072020cb1238def6210f0fc6a47b97e59"),
    ("anti_stereotyped_type2.txt.test", 31769, "336571ac1ea8c06cd2aba8e5dd2bd98e00acc0c48da3e4ec5ec7e54eb2633a8f"),
    ("female_occupations.txt", 177, "693bff12286c2c1d46c7d4d45a44a631574710c30b39c1a3001bb7bdebb44ed8"),
    ("male_occupations.txt", 169, "6b82d88847b69d56d207a0c396e9830b031890de585e916e6b4e9bc50672657e"),
)

BBQ = Source(
    "bbq",
    "BBQ: bias benchmark for question answering, six of eleven categories",
    "https://github.com/nyu-mll/BBQ",
    "CC BY 4.0",
    "Parrish et al. BBQ: A Hand-Built Bias Benchmark for Question Answering. Findings of ACL 2022.",
    tuple(_file("bbq", _BBQ, *entry, packed=True) for entry in _BBQ_FILES),
    ("In an ambiguous context the right answer is always the unknown one: a model that always evades has accuracy 1.",),
)
CROWS_PAIRS = Source(
    "crows_pairs",
    "CrowS-Pairs",
    "https://github.com/nyu-mll/crows-pairs",
    "CC BY-SA 4.0",
    "Nangia, Vania, Bhalerao, Bowman. CrowS-Pairs. EMNLP 2020.",
    (
        _file(
            "crows_pairs",
            _CROWS,
            "crows_pairs_anonymized.csv",
            437764,
            "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c",
        ),
    ),
    ("Its authors warn of noisy pairs and advise against using it as the only measure.",),
)
STEREOSET = Source(
    "stereoset",
    "StereoSet development set, as triples",
    "https://github.com/moinnadeem/StereoSet",
    "CC BY-SA 4.0",
    "Nadeem, Bethke, Reddy. StereoSet: Measuring stereotypical bias in pretrained language models. ACL 2021.",
    (
        _file(
            "stereoset",
            _STEREO,
            "stereoset_triples.json",
            3371241,
            "8cb492380ac3c7b59d208fe70337c7d673e595451cd8edbebd667088430ed116",
            packed=True,
            at="stereoset.json",
        ),
    ),
    ("A reshaped copy of the published development set, with the same 4,229 items.",),
)
WINOBIAS = Source(
    "winobias",
    "WinoBias",
    "https://github.com/uclanlp/corefBias",
    "MIT",
    "Zhao, Wang, Yatskar, Ordonez, Chang. Gender Bias in Coreference Resolution. NAACL 2018.",
    tuple(_file("winobias", _WINO, *entry) for entry in _WINO_FILES),
    ("Some counterparts differ in more than the pronoun, and two of type 2 not in the pronoun, as published.",),
)
SOURCES = {source.name: source for source in (BBQ, CROWS_PAIRS, STEREOSET, WINOBIAS)}
