"""Tables in every format that a card may name: drafted, read again, and the same task."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foundation.seeding import numpy_generator
from tasks.card import Card, load_card
from tasks.drafting.draft import draft
from tasks.drafting.guesses import Wishes
from tasks.formats.hub import hub_id, save_hub_table
from tasks.load import load_task


def staff(n: int = 120) -> pd.DataFrame:
    random = numpy_generator(0, "staff")
    return pd.DataFrame(
        {
            "Größe": (random.normal(170, 9, n)).round(1),
            "Sexe": random.choice(["männlich", "weiblich"], n),
            "Büro": random.choice(["Zürich", "Genève", "Lugano's"], n),
            "hired": random.choice(["yes", "no"], n),
        }
    )


def card_of(path: Path, **wishes: object) -> Card:
    target = path.parent / "card.toml"
    target.write_text(draft(path, wishes=Wishes(**wishes)).text, encoding="utf-8")  # type: ignore[arg-type]
    return load_card(target)


def csv_bytes(separator: str = ",", decimal: str = ".", encoding: str = "utf-8") -> bytes:
    return staff().to_csv(index=False, sep=separator, decimal=decimal).encode(encoding)


def zipped(data: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner/table.csv", data)
        archive.writestr("__MACOSX/inner/._table.csv", b"resource")


def arff(path: Path) -> None:
    table = staff()
    head = "% staff\n@RELATION staff\n\n@attribute 'Größe' numeric\n@ATTRIBUTE Sexe {männlich,weiblich}\n"
    head += "@attribute Büro string\n@attribute hired {yes, no}\n@DATA\n"
    rows = (
        f"{r[0]},{r[1]},'{r[2].replace(chr(39), chr(92) + chr(39))}',{r[3]}\n" for r in table.itertuples(index=False)
    )
    path.write_text(head + "".join(rows), encoding="utf-8")


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.csv": lambda p: p.write_bytes(csv_bytes()),
    "bom.csv": lambda p: p.write_bytes(csv_bytes(encoding="utf-8-sig")),
    "ansi.csv": lambda p: p.write_bytes(csv_bytes(";", ",", "cp1252")),
    "wide.txt": lambda p: p.write_bytes(csv_bytes("\t", encoding="utf-16")),
    "nomark.csv": lambda p: p.write_bytes(csv_bytes(encoding="utf-16-le")),
    "comma.csv": lambda p: p.write_bytes(csv_bytes(";", ",")),
    "quoted.csv": lambda p: p.write_bytes(csv_bytes(",", ",")),
    "bar.dat": lambda p: p.write_bytes(csv_bytes("|")),
    "a.csv.gz": lambda p: p.write_bytes(gzip.compress(csv_bytes(";", ",", "cp1252"))),
    "a.csv.bz2": lambda p: p.write_bytes(bz2.compress(csv_bytes())),
    "a.csv.xz": lambda p: p.write_bytes(lzma.compress(csv_bytes())),
    "a.zip": lambda p: zipped(csv_bytes(), p),
    "a.parquet": lambda p: staff().to_parquet(p, index=False),
    "a.feather": lambda p: staff().to_feather(p),
    "a.xlsx": lambda p: staff().to_excel(p, index=False),
    "a.arff": arff,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_task(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    card = card_of(tmp_path / name)
    assert (card.label.column, [s.column for s in card.sensitive]) == ("hired", ["Sexe"])
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    table = staff()
    assert task.group_names == ("männlich", "weiblich")
    assert task.labels.tolist() == (table["hired"] == "yes").astype(int).tolist()
    np.testing.assert_allclose(task.frame["Größe"], table["Größe"])
    assert task.frame["Büro"].astype(str).tolist() == table["Büro"].tolist()


def test_a_sheet_is_chosen_by_name(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        staff().to_excel(book, sheet_name="2023", index=False)
        staff(60).to_excel(book, sheet_name="2024", index=False)
    card = card_of(tmp_path / "two.xlsx", sheet="2024")
    assert (card.rows, card.read.sheet, card.read.format) == (60, "2024", "xlsx")
    assert len(load_task(str(tmp_path / "card.toml"), progress=False).labels) == 60


def test_words_for_missing_in_a_workbook(tmp_path: Path) -> None:
    table = staff().astype({"Größe": "object"})
    table.loc[3:5, "Größe"] = "n/a"
    table.to_excel(tmp_path / "a.xlsx", index=False)
    card = card_of(tmp_path / "a.xlsx")
    assert card.read.missing == ("n/a",)
    task = load_task(str(tmp_path / "card.toml"), progress=False)
    assert int(task.frame["Größe"].isna().sum()) == 3


def test_a_card_of_an_older_project_keeps_its_hash() -> None:
    from tasks.registry import resolve

    dumped = resolve("german").card.model_dump(mode="json", exclude={"source"})
    for later in ("encoding", "decimal", "thousands", "sheet"):
        dumped["read"].pop(later)
    from foundation.hashing import hash_json

    assert resolve("german").card.hash == hash_json(dumped)


def test_a_data_set_of_the_hub_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    staff().to_csv(tmp_path / "people" / "train.csv", index=False)
    staff(40).to_csv(tmp_path / "people" / "test.csv", index=False)
    wanted = hub_id(f"hf:{tmp_path / 'people'}")
    assert wanted is not None
    saved = save_hub_table(wanted, tmp_path)
    assert saved.path == tmp_path / "people.parquet" and "not its other splits: test" in saved.words
    assert card_of(saved.path).rows == 120
    second = hub_id(f"hf:{tmp_path / 'people'}::test")
    assert second is not None and "40 rows" in save_hub_table(second, tmp_path).words


def test_names_of_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("a file of one's own")
    assert hub_id("owner/name") == ("owner/name", "", "") and hub_id("hf:o/n:c:s") == ("o/n", "c", "s")
    assert hub_id("a/b") is None and hub_id("data/my.csv") is None and hub_id("my.csv") is None


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.card import DataError

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"'nobody/nothing' cannot be loaded from the Hugging Face hub .* network"):
        save_hub_table(hub_id("nobody/nothing"), tmp_path)  # type: ignore[arg-type]


def test_text_keeps_its_letters(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv_bytes())
    text = draft(tmp_path / "a.csv").text
    assert 'text = "größe"' in text and 'name = "Zürich"' not in text and '"männlich"' in text
