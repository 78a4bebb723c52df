"""Where adapters lie: bare folders, saved text experts, packages of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from artefacts.format.archive import open_package
from artefacts.format.error import PackageError
from artefacts.packing.adapter_sources import adapter_places, adapter_sources, manifest_in
from artefacts.packing.pack import package
from artefacts.packing.told import Told
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.store import FACTS, save_adapter
from llm_experts.bases.rope import rescaled
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.resident import ResidentBase
from tests.llm_experts.runtime.resident_fixtures import BASE, peft_adapter, saved


def adapter(folder: Path, kind: str = "lora") -> Path:
    given = saved(peft_adapter(kind))
    save_adapter(folder, BASE, given.config, given.state)
    return folder


def test_one_adapter_is_called_as_the_expert_and_several_by_their_places(tmp_path: Path) -> None:
    adapter(tmp_path / "mine")
    assert adapter_sources(tmp_path / "mine") == {"mine": tmp_path / "mine"}
    assert adapter_sources(tmp_path, "one") == {"one": tmp_path / "mine"}
    adapter(tmp_path / "parts" / "b" / "adapter")
    found = adapter_sources(tmp_path, "all")
    assert found == {"all/mine": tmp_path / "mine", "all/parts/b/adapter": tmp_path / "parts" / "b" / "adapter"}
    (tmp_path / "empty").mkdir()
    assert adapter_sources(tmp_path / "empty") == {}
    with pytest.raises(PackageError, match="no folder"):
        adapter_sources(tmp_path / "nowhere")


def test_a_package_tells_name_order_and_the_base_of_a_foreign_adapter(tmp_path: Path) -> None:
    adapter(tmp_path / "ours")
    (adapter(tmp_path / "plain") / FACTS).unlink()
    told = Told(name="plain-one", base_hash=BASE.hash, further={"constraints": {"load_order": 3}})
    for name, says in (("ours", Told(name="our-one")), ("plain", told)):
        with open_package(package(tmp_path / name, tmp_path / f"{name}.expert", says).path) as made:
            made.extract(tmp_path / f"{name}-tree")
    ours = adapter_places(tmp_path / "ours-tree")["our-one"]
    plain = adapter_places(tmp_path / "plain-tree")["plain-one"]
    assert (ours.order, ours.base_hash) == (0, "") and (plain.order, plain.base_hash) == (3, "")  # packing writes FACTS
    (plain.folder / FACTS).unlink()
    plain = adapter_places(tmp_path / "plain-tree")["plain-one"]  # another packer's: the manifest alone tells the base
    assert (plain.order, plain.base_hash) == (3, BASE.hash)
    on = ResidentBase(BASE)
    on.known("plain-one", plain.folder, order=plain.order, base_hash=plain.base_hash)
    with on.lease([Composition.of({"plain-one": 1.0})]):
        assert on.loaded == ("plain-one",)


def test_a_package_tells_the_rope_scaling_and_a_plain_folder_cannot(tmp_path: Path) -> None:
    scaled = rescaled(BASE, "yarn:4")
    given = saved(peft_adapter("lora"))
    save_adapter(tmp_path / "long", scaled, given.config, given.state)
    with open_package(package(tmp_path / "long", tmp_path / "long.expert", Told(name="long-one")).path) as made:
        made.extract(tmp_path / "tree")
    manifest = manifest_in(tmp_path / "tree")
    assert manifest is not None and manifest.base is not None
    assert manifest.base.rope_scaling == {"rope_type": "yarn", "factor": 4.0}
    source = adapter_sources(tmp_path / "tree")["long-one"]
    ResidentBase(scaled).load("long-one", source)
    with pytest.raises(AdapterError, match="rope_scaling='yarn:4'"):
        ResidentBase(BASE).load("long-one", source)
    (source / FACTS).unlink()
    with pytest.raises(PackageError, match="cannot tell one"):
        adapter_sources(tmp_path / "tree")
