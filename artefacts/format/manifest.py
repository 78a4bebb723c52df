"""The manifest of a package: what it is, what it needs, how it was made, how fair it was measured to be, its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator

from artefacts.format.canonical import CanonicalError, canonical
from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST, SIGNATURE, TENSORS, check_distinct, check_file_name
from artefacts.format.names import Range, Version, check_name
from artefacts.format.strict_json import read_json

FORMAT = "expert/1"
LARGEST = 4 * 2**20
"""Bytes of a manifest at most."""
LONGEST_CHAIN = 10


def _version(text: str) -> str:
    Version.parse(text)
    return text


def _range(text: str) -> str:
    Range.parse(text)
    return text


Name = Annotated[
    str,
    AfterValidator(check_name),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "minLength": 1, "maxLength": 64}),
]
SemVer = Annotated[str, Field(max_length=100), AfterValidator(_version)]
VersionRange = Annotated[str, Field(max_length=200), AfterValidator(_range)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Sentence = Annotated[str, Field(max_length=2_000)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Path = Annotated[str, AfterValidator(check_file_name)]
Facts = dict[Word, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Base(_Part):
    """The language model that adapters stand on; ``sha256`` is that of its weights, as ``llm_experts.bases`` has it."""

    name: Word
    sha256: Sha256
    revision: Word | None = None
    dtype: Word | None = None
    quantisation: Word | None = None
    rope_scaling: Facts | None = None


class Adapter(_Part):
    """One adapter of a package."""

    type: Word
    target_modules: tuple[Word, ...] = ()
    rank: Count | None = None
    alpha: Real | None = None
    scaling: Word | None = None
    dropout: Real | None = None
    path: Path
    bytes: Count
    sha256: Sha256


class Routing(_Part):
    """When the expert is chosen by words."""

    keywords: tuple[Word, ...] = ()
    exclude_keywords: tuple[Word, ...] = ()
    priority: Annotated[float, Field(ge=0, le=1)] = 0.5


class Constraints(_Part):
    """What the expert stands beside; ranges as :class:`artefacts.format.names.Range` reads them."""

    requires: dict[Name, VersionRange] = {}
    incompatible_with: dict[Name, VersionRange] = {}
    load_order: int = 0
    max_chain: Annotated[int, Field(ge=1, le=LONGEST_CHAIN)] = LONGEST_CHAIN


class Member(_Part):
    """A package that a mixture requires as it is: ``content`` is the sha256 of its canonical manifest."""

    name: Name
    version: SemVer
    content: Sha256


class Decoding(_Part):
    """How text is generated."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    max_new_tokens: Count | None = None
    stop: tuple[Word, ...] = ()


class Provenance(_Part):
    """How the expert was made."""

    task: Word | None = None
    task_hash: Word | None = None
    data_hash: Word | None = None
    protocol: Word | None = None
    split: Word | None = None
    seed: int | None = None
    template: Word | None = None
    method: Word | None = None
    variant: Word | None = None
    params: Facts = {}
    epochs: Real | None = None
    learning_rate: Real | None = None
    command: Sentence | None = None
    versions: dict[Word, Word] = {}
    mlflow_run: Word | None = None
    parent: Member | None = None


class Measured(_Part):
    """A metric with its uncertainty, as :mod:`metrics.score` measures it; None where it cannot be estimated."""

    estimate: Real | None = None
    low: Real | None = None
    high: Real | None = None
    null_p95: Real | None = None
    status: Word = "ok"
    reason: Sentence = ""


class GroupSize(_Part):
    """Test rows of a group by class."""

    positive: Count
    negative: Count


class Fairness(_Part):
    """What was measured on test rows, once; ``note`` says what else must be known to read the numbers."""

    suite: Word
    task: Word | None = None
    split: Word | None = None
    rows: Count | None = None
    groups: dict[Word, GroupSize] = {}
    metrics: dict[Word, Measured] = {}
    bias: dict[Word, dict[Word, Measured]] = {}
    demand: Facts | None = None
    note: Sentence = ""


class Column(_Part):
    """A raw column that the expert reads."""

    name: Word
    kind: Literal["numeric", "categorical", "binary", "ordinal", "text", "bins"]
    categories: tuple[Annotated[str, Field(max_length=200)], ...] = ()
    unit: Word | None = None


class Inputs(_Part):
    """Rows that the expert can be asked about."""

    columns: tuple[Column, ...] = ()
    needs_group: bool = False
    sensitive: tuple[Word, ...] = ()
    groups: tuple[Word, ...] = ()
    positive: Sentence | None = None
    negative: Sentence | None = None
    needs_edges: bool = False


class File(_Part):
    """A file of the package; ``tensors`` counts the numbers of each dtype of a safetensors file."""

    bytes: Count
    sha256: Sha256
    tensors: dict[Word, Count] | None = None


class Manifest(_Part):
    """All that a package says of itself; see ``docs/packages.md``."""

    format: Literal["expert/1"]
    name: Name
    version: SemVer
    description: Sentence
    author: Word
    licence: Word
    kind: Literal["network", "graph", "trees", "linear", "adapter", "mixture", "method"]
    base: Base | None = None
    adapters: tuple[Adapter, ...] = ()
    members: tuple[Member, ...] = ()
    capabilities: tuple[Word, ...] = ()
    routing: Routing = Routing()
    constraints: Constraints = Constraints()
    decoding: Decoding | None = None
    provenance: Provenance = Provenance()
    fairness: Fairness | None = None
    inputs: Inputs | None = None
    files: dict[str, File]

    @model_validator(mode="after")
    def _whole(self) -> Manifest:
        check_distinct(self.files)
        for name, file in self.files.items():
            check_file_name(name)
            if name in (MANIFEST, SIGNATURE):
                raise PackageError("manifest", f"The manifest lists {name}, which stands outside what it lists.")
            if (file.tensors is not None) != name.endswith(TENSORS):
                raise PackageError("manifest", f"{name}: tensors are told of {TENSORS} files, and only of them.")
        for adapter in self.adapters:
            file_of = self.files.get(adapter.path)
            if file_of is None or (file_of.bytes, file_of.sha256) != (adapter.bytes, adapter.sha256):
                raise PackageError("manifest", f"The adapter {adapter.path!a} is not the file of that name.")
        if self.adapters and self.base is None:
            raise PackageError("manifest", "There are adapters, and no base that they stand on.")
        if self.name in self.constraints.requires:
            raise PackageError("manifest", f"{self.name} requires itself.")
        return self

    def canonical(self) -> bytes:
        """The bytes of ``manifest.json``, and what is signed: RFC 8785, without fields that have their default."""
        return canonical(self.model_dump(mode="json", exclude_defaults=True))


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest strictly; its JSON need not be canonical (in a package it must).

    Raises
    ------
    PackageError
        ``json-...`` of :func:`artefacts.format.strict_json.read_json`; ``manifest-format`` if it is of another format;
        ``manifest`` with the first field that is wrong; or the reason of a name, version, range or file name.
    """
    facts = read_json(data, MANIFEST, LARGEST, plain=True)
    if not isinstance(facts, dict):
        raise PackageError("manifest", f"{MANIFEST} is no JSON object.")
    if facts.get("format") != FORMAT:
        raise PackageError(
            "manifest-format",
            f"{MANIFEST} is of format {str(facts.get('format'))[:40]!a}, not {FORMAT!r}: another, or a newer one.",
        )
    return manifest_of(facts)


def manifest_of(facts: Mapping[str, Any]) -> Manifest:
    """A manifest of JSON's values.

    Raises
    ------
    PackageError
        As :func:`parse_manifest`.
    """
    try:
        found = Manifest.model_validate_json(canonical(facts))
    except CanonicalError as error:
        raise PackageError("json-number", f"{MANIFEST}: {error}") from None
    except ValidationError as error:
        raise _refusal(error) from None
    return found


def _refusal(error: ValidationError) -> PackageError:
    """The first thing that is wrong, under its own reason if it has one."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:80] for part in first["loc"]) or "manifest"
    cause = first.get("ctx", {}).get("error")
    reason = cause.reason if isinstance(cause, PackageError) else "manifest"
    text = str(cause).removesuffix(f" [{reason}]") if isinstance(cause, PackageError) else first["msg"]
    return PackageError(reason, f"{MANIFEST}, {place!a}: {text}")


def schema() -> dict[str, Any]:
    """The JSON schema of the manifest (draft 2020-12)."""
    found = Manifest.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, **found}
