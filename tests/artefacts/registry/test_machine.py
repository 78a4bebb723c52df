"""Any order of publishing, installing, updating and removing, against a model of a few lines."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from artefacts.format.names import Range, Version
from artefacts.registry.error import RegistryError
from artefacts.registry.publish import publish
from artefacts.registry.registry import Allowed
from tests.artefacts.registry.made import Maker, check_clean, registry_for

NAMES = ("base", "left", "right", "top")
NEEDS = {"base": (), "left": ("base",), "right": ("base",), "top": ("left", "right")}
NUMBERS = st.integers(0, 2)
RANGES = st.sampled_from(["*", "^1", ">=1.1", "<1.2", "1.0.x"])


class Experts(RuleBasedStateMachine):
    """The model: which versions are published with which requirements, and what the user asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.maker = Maker(self.folder / "makers")
        self.index = self.folder / "index"
        publish(self.maker.make("other"), self.index)
        self.registry = registry_for(self.folder / "home", self.maker, index=self.index)
        self.published: dict[tuple[str, str], dict[str, str]] = {}
        self.asked: dict[str, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(name=st.sampled_from(NAMES), minor=NUMBERS, versions=RANGES)
    def publish(self, name: str, minor: int, versions: str) -> None:
        key = name, f"1.{minor}.0"
        needs = self.published.get(key, dict.fromkeys(NEEDS[name], versions))
        package = self.maker.make(*key, requires=needs)
        newer = [other for other in self.published if other[0] == name and other[1] > key[1]]
        try:
            assert publish(package, self.index).new == (key not in self.published)
        except RegistryError as error:
            assert error.reason == "downgrade" and newer and key not in self.published
        else:
            self.published[key] = needs

    @rule(name=st.sampled_from(NAMES), versions=RANGES, older=st.booleans())
    def install(self, name: str, versions: str, older: bool) -> None:
        self._change(
            {**self.asked, name: versions},
            lambda: self.registry.install([f"{name}@{versions}"], Allowed(downgrade=older)),
        )

    @rule()
    def update(self) -> None:
        before = self.versions()
        self._change(self.asked, self.registry.update)
        after = self.versions()
        assert all(Version.parse(after[name]) >= Version.parse(before[name]) for name in set(after) & set(before))

    @rule(name=st.sampled_from(NAMES))
    def uninstall(self, name: str) -> None:
        installed = self.registry.state.installed
        try:
            self.registry.uninstall([name])
        except RegistryError as error:
            users = [other for other in installed.values() if name in other.needs.requires]
            assert error.reason == ("required" if users else "not-installed")
            assert bool(users) or name not in installed
        else:
            self.asked.pop(name, None)

    def versions(self) -> dict[str, str]:
        return {name: record.version for name, record in self.registry.state.installed.items()}

    def _change(self, asked: dict[str, str], command) -> None:  # type: ignore[no-untyped-def]
        before = self.registry.state
        try:
            command()
        except RegistryError as error:
            assert error.reason in ("unknown-name", "unknown-version", "version-conflict", "downgrade")
            assert error.reason != "unknown-version" or self._unmet(asked)
            assert self.registry.state == before
        else:
            self.asked = asked

    def _unmet(self, asked: dict[str, str]) -> bool:
        """Whether a range that somebody asks for or needs has no published version."""
        ranges = {*asked.items(), *(need for needs in self.published.values() for need in needs.items())}
        published = [(name, Version.parse(version)) for name, version in self.published]
        return any(all(n != name or v not in Range.parse(versions) for n, v in published) for name, versions in ranges)

    @invariant()
    def whole(self) -> None:
        check_clean(self.registry)
        found = self.versions()
        wanted, needed = dict(self.asked), set(self.asked)
        for name, version in found.items():
            needed |= set(self.published[name, version])
        assert set(found) == needed
        for name, version in found.items():
            for other, versions in self.published[name, version].items():
                assert Version.parse(found[other]) in Range.parse(versions)
        for name, versions in wanted.items():
            assert Version.parse(found[name]) in Range.parse(versions)


TestExperts = Experts.TestCase
TestExperts.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
