"""What has changed since a cell was computed: code, libraries, data."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.methods.baselines import baseline_names
from benchmarks.methods.own_method import own_hash
from benchmarks.methods.registry import text_methods
from benchmarks.plan.code import baseline_hash, computing_hash
from benchmarks.plan.environment import baseline_library_versions, code_version, library_versions
from benchmarks.plan.job import llm_hash
from benchmarks.run.rebuild.handle import CellHandle
from foundation.hashing import hash_json
from tasks.registry import resolve


def changes_since(handle: CellHandle) -> list[str]:
    """What decides the numbers of a cell and is no longer what it was, in words; empty if nothing."""
    return [*_of_all(handle), *_of_method(handle)]


def changes_of_all(handle: CellHandle) -> list[str]:
    """Those of them that concern every method of the run alike: fairmoe's code, libraries, the data."""
    return list(_of_all(handle))


def _of_all(handle: CellHandle) -> Iterator[str]:
    job = handle.job
    if job.code != computing_hash():
        yield f"the code of fairmoe ({handle.code_version} then, {code_version()} now)"
    then, now = handle.record["libraries"], library_versions()
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            yield f"{name} ({then.get(name, 'absent')} then, {now.get(name, 'absent')} now)"
    if resolve(job.task).card.hash != job.card_hash:
        yield f"the card or the files of {job.title}"


def _of_method(handle: CellHandle) -> Iterator[str]:
    job, method = handle.job, handle.method
    known = dict(job.baseline_code).get(method)
    if known is not None and known != _baseline_code(handle):
        yield f"the code of {method}, or a library that it stands on"
    if method in text_methods() and job.llm is not None and llm_hash(job.llm) != job.llm_key:
        yield "the base of the text experts, their code or a library that they stand on"


def _baseline_code(handle: CellHandle) -> str:
    """As :func:`benchmarks.plan.job.baseline_code` makes it."""
    method = handle.method
    code = baseline_hash(method) if method in baseline_names() else own_hash(dict(handle.job.own)[method])
    return hash_json([code, baseline_library_versions()])
