"""API keys, where a server listens, names of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.error import ServingError
from serving.http.settings import KEYS_VARIABLE, ServerSettings, read_keys
from serving.naming import experts_of, parsed

LONG, OTHER = "a-long-enough-key-1", "a-long-enough-key-2"


def test_keys_come_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the lab\n\n  {LONG}  \n", encoding="utf-8")
    monkeypatch.setenv(KEYS_VARIABLE, f"{OTHER}, {LONG}")
    keys = read_keys(file)
    assert len(keys) == 2
    assert keys.client(LONG)
    assert keys.client(OTHER)
    assert keys.client(LONG) != keys.client(OTHER)
    for wrong in ("", LONG[:-1], LONG + "x", "# of the lab", "é", "\udcff"):
        assert keys.client(wrong) is None
    assert LONG not in repr(keys)
    assert LONG not in repr(ServerSettings(keys=keys))
    assert LONG not in (keys.client(LONG) or "")


def test_without_keys_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    assert not read_keys()
    assert read_keys().client("") is None


@pytest.mark.parametrize("text", ["", "# only a comment\n", "short\n"])
def test_a_file_without_a_sound_key_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ServingError, match="key") as caught:
        read_keys(file)
    assert "short" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="cannot be read"):
        read_keys(tmp_path / "absent")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ServingError, match="UTF-8"):
        read_keys(tmp_path / "bytes")


@pytest.mark.parametrize(
    ("host", "loopback", "url"),
    [
        ("127.0.0.1", True, "http://127.0.0.1:8000"),
        ("127.8.8.8", True, "http://127.8.8.8:8000"),
        ("localhost", True, "http://localhost:8000"),
        ("::1", True, "http://[::1]:8000"),
        ("0.0.0.0", False, "http://0.0.0.0:8000"),
        ("::", False, "http://[::]:8000"),
        ("", False, "http://:8000"),
        ("experts.example", False, "http://experts.example:8000"),
    ],
)
def test_which_hosts_are_this_machine_alone(host: str, loopback: bool, url: str) -> None:
    settings = ServerSettings(host=host)
    assert settings.loopback is loopback
    assert settings.url == url


@pytest.mark.parametrize(
    ("model", "experts", "wanted"),
    [
        ("auto", None, "auto"), ("base", None, None), ("nano", None, None), ("law", None, {"law": 1.0}),
        ("a=0.7, b=0.3", None, {"a": 0.7, "b": 0.3}), ("a,b", None, {"a": 1.0, "b": 1.0}), ("a=-1", None, {"a": -1.0}),
        ("auto", {"a": 2.0}, {"a": 2.0}), ("a", ["b", "c"], {"b": 1.0, "c": 1.0}), ("a", "auto", "auto"),
        ("a", "base", None),
    ],
)  # fmt: skip
def test_models_by_name(model: str, experts: object, wanted: object) -> None:
    assert experts_of(model, experts, "nano") == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["a=", "a=x", "a=inf", "a=nan", "a,a", "a=1,a=2", ",", "a,", "=1"])
def test_names_that_are_none(model: str) -> None:
    with pytest.raises(ServingError):
        parsed(model)
