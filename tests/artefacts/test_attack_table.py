"""The attack table of ``docs/packages.md``: each is sent to ``install`` and refused by its name; no byte changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from artefacts.format.archive import open_package
from artefacts.format.canonical import canonical
from artefacts.format.error import PackageError
from artefacts.registry.error import RegistryError
from artefacts.registry.publish import publish
from artefacts.registry.registry import Allowed, Registry
from artefacts.trust.keys import public_text
from artefacts.trust.signature import sign
from tests.artefacts.making import archived, packed
from tests.artefacts.registry.made import Maker, registry_for
from tests.artefacts.test_attacks import ATTACKS, tree

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "packages.md"


@dataclass
class Scene:
    """A user who trusts one maker and has his ``net`` 1.1.0; ``stranger`` is somebody else."""

    folder: Path
    maker: Maker
    stranger: Maker
    registry: Registry

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def file(self, data: bytes) -> str:
        path = self.folder / "sent.expert"
        path.write_bytes(data)
        return str(path)

    def publish(self, name: str, **facts: Any) -> str:
        publish(self.maker.make(name, **facts), self.index)
        return name


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    maker, stranger = Maker(tmp_path / "makers"), Maker(tmp_path / "makers", "stranger")
    publish(maker.make("net", "1.1.0"), tmp_path / "index")
    registry = registry_for(tmp_path / "home", maker, index=tmp_path / "index")
    registry.install(["net"])
    return Scene(tmp_path, maker, stranger, registry)


def resigned(path: Path, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A signed package whose list of signatures was changed."""
    with open_package(path) as package:
        files = {name: package.read(name) for name in package.names}
    facts = json.loads(files["signature.json"])
    change(facts)
    return archived({**files, "signature.json": canonical(facts)})


def other_first_letter(facts: dict[str, Any]) -> None:
    text = facts["signatures"][0]["signature"]
    facts["signatures"][0]["signature"] = ("B" if text.startswith("A") else "A") + text[1:]


def manifest_flipped(scene: Scene) -> str:
    data = scene.maker.make("other").read_bytes()
    return scene.file(data.replace(b"An expert.", b"An expers."))


def signature_flipped(scene: Scene) -> str:
    return scene.file(resigned(scene.maker.make("other"), other_first_letter))


def under_another_name(scene: Scene) -> str:
    """The stranger's signature, said to be by the key that is trusted."""
    trusted = public_text(scene.maker.key)
    return scene.file(resigned(scene.stranger.make("other"), lambda f: f["signatures"][0].update(key=trusted)))


def of_another_package(scene: Scene) -> str:
    with open_package(scene.maker.make("honest")) as package:
        theirs = json.loads(package.read("signature.json"))
    return scene.file(resigned(scene.maker.make("other"), lambda facts: facts.update(theirs)))


def signed_after_all(scene: Scene) -> str:
    """NaN among weights is no less NaN when the trusted maker signs it: a key vouches for no form."""
    path = Path(scene.file(ATTACKS["NaN among float32"][1]()))
    with pytest.raises(PackageError, match=r"\[not-a-number\]"):
        sign(path, scene.maker.key)
    return str(path)


def wrong_base(scene: Scene) -> str:
    scene.publish("adapter", base="a" * 64)
    return scene.publish("blend", base="b" * 64, requires={"adapter": "*"})


def conflict(scene: Scene) -> str:
    """Both versions are there, and never both at once."""
    publish(scene.maker.make("net", "2.0.0"), scene.index)
    scene.publish("early", requires={"net": "^1"})
    return scene.publish("late", requires={"net": "^2", "early": "*"})


def unheard_of(scene: Scene) -> str:
    return scene.publish("late", requires={"net": "^2"})


def circle(scene: Scene) -> str:
    scene.publish("one", requires={"two": "*"})
    return scene.publish("two", requires={"one": "*"})


def older(scene: Scene) -> str:
    return str(scene.maker.make("net", "1.0.0"))


def taken(scene: Scene) -> str:
    """A newer version of a name, by somebody whom the user trusts too."""
    scene.registry._trust.add(scene.stranger.public, "stranger")
    return str(scene.stranger.make("net", "2.0.0"))


def sent(attack: str) -> Callable[[Scene], str]:
    """An attack on the form of a package."""
    return lambda scene: scene.file(ATTACKS[attack][1]())


TABLE: dict[str, tuple[str, Callable[[Scene], str]]] = {
    "a flipped bit in weights": ("hash", sent("a flipped bit in weights")),
    "a flipped bit in the manifest's list of hashes": ("hash", sent("a flipped bit in the manifest")),
    "a flipped bit in a signed manifest": ("signature-invalid", manifest_flipped),
    "a flipped bit in a signature": ("signature-invalid", signature_flipped),
    "the signature of a key that is not trusted": ("untrusted-unknown", lambda s: str(s.stranger.make("other"))),
    "the signature of another key, under the name of a trusted one": ("signature-invalid", under_another_name),
    "the signature of another package": ("signature-invalid", of_another_package),
    "no signature": ("untrusted-unsigned", lambda s: str(s.maker.make("other", signed=False))),
    "a path that leads out": ("path-traversal", sent("a path that leads out in the middle")),
    "an absolute path": ("path-absolute", sent("an absolute path")),
    "a symbolic link": ("link-symbolic", sent("a symbolic link")),
    "a hard link": ("link-hard", sent("a hard link")),
    "a device": ("device", sent("a character device")),
    "a name twice": ("file-twice", sent("a name twice")),
    "a name twice but for capitals": ("file-twice", sent("a name twice but for case")),
    "a header that tells of 10 GB": ("size-file", sent("a header of 10 GB")),
    "a safetensors header of 10 GB": ("tensors-header", sent("a weights' header of 10 GB")),
    "a sparse bomb of GNU tar": ("sparse", sent("a sparse file of GNU")),
    "a sparse bomb of PAX": ("pax", sent("a sparse file of PAX")),
    "a file that was cut": ("truncated", sent("a cut in the middle")),
    "bytes after the end": ("trailing-bytes", sent("a byte after the end")),
    "NaN among weights": ("not-a-number", sent("NaN among float32")),
    "NaN among weights, and its maker wants to sign it": ("not-a-number", signed_after_all),
    "a dtype that does not fit the bytes": ("tensors-shape", sent("a dtype that is wider")),
    "a dtype that is not the manifest's": ("tensors-manifest", sent("a dtype that is not the manifest's")),
    "a pickle": ("file-type", sent("a pickle")),
    "a pickle that is called safetensors": ("pickle", sent("a pickle called safetensors")),
    "an adapter's other base": ("wrong-base", wrong_base),
    "ranges that cannot all be kept": ("version-conflict", conflict),
    "a version that nobody has published": ("unknown-version", unheard_of),
    "requirements in a circle": ("cyclic-requires", circle),
    "an older version": ("downgrade", older),
    "a name that another key has published": ("other-key", taken),
    "a name with a letter that looks like another": ("name-look-alike", sent("a look-alike name")),
    "an over-long name": ("name-length", sent("an over-long name")),
    "an over-long name of a file": ("file-name-length", sent("an over-long part of a name")),
}


@pytest.mark.parametrize("attack", TABLE)
def test_what_is_sent_to_install_is_refused_by_its_name_and_nothing_is_written(attack: str, scene: Scene) -> None:
    """Also with ``--allow-untrusted``, which lets in what is unsigned or unknown, and nothing else."""
    reason, make = TABLE[attack]
    source = make(scene)
    before, state = tree(scene.folder), scene.registry.state
    for allowed in (Allowed(), Allowed(untrusted=True))[: 1 if reason.startswith("untrusted") else 2]:
        with pytest.raises((PackageError, RegistryError)) as refused:
            scene.registry.install([source], allowed)
        assert refused.value.reason == reason
        assert str(refused.value).endswith(f" [{reason}]") and str(refused.value).isprintable()
        assert tree(scene.folder) == before and scene.registry.state == state


def test_without_an_attack_it_is_installed(scene: Scene) -> None:
    scene.registry.install([str(packed(scene.folder / "good.expert"))], Allowed(untrusted=True))
    scene.registry.install([str(scene.maker.make("other")), scene.publish("late", requires={"net": "^1"})])
    assert set(scene.registry.state.installed) == {"net", "german-mlp", "other", "late"}


def test_the_document_has_this_table() -> None:
    rows = re.findall(r"^\| sent: (.+?) \| `(.+?)` \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(attack, reason) for attack, (reason, _) in TABLE.items()]
