"""Names and numbers of settings that only a late step reads, looked at before the first one works."""

from __future__ import annotations

from benchmarks.discovering.context import domains_of
from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.settings import DiscoverySettings

NOTHING = ("none",)
"""What settings say where nothing is to be preserved."""


def check_beforehand(settings: DiscoverySettings) -> None:
    """Refuse what some step would refuse after the work of those before it; nothing is loaded or measured.

    Raises
    ------
    DataError, AdapterError, PackageError, DiscoverError
        If there is no such domain, provider, check or thing to preserve, the kind of adapter has no exact mixture, the
        name is none of a package, or there are fewer domains than experts.
    """
    from artefacts.format.names import check_name
    from llm_experts.adapters.registry import kind_named
    from llm_experts.discovery.preserving.preserve import check_named
    from llm_experts.generation.checks.registry import checks_named
    from llm_experts.generation.providers.registry import provider_kind
    from llm_experts.mixtures.item_mixtures import check_mixable

    _check_count(len(domains_of(settings)), settings.experts)
    check_mixable({kind_named(settings.kind).name})
    provider_kind(settings.provider)
    checks_named(settings.checks)
    if settings.preserve != NOTHING:
        check_named(settings.preserve)
    if settings.name:
        check_name(settings.name)


def _check_count(domains: int, experts: int | None) -> None:
    from llm_experts.discovery.planning.clusters import FEWEST

    if domains < FEWEST:
        raise DiscoverError(
            f"{domains} domains are named, and a discovery plans {FEWEST} experts at least, each for one domain or "
            "more. Name more with --domains, such as arithmetic@0.5, or none for the default ones."
        )
    if experts is not None and experts > domains:
        raise DiscoverError(
            f"{experts} experts are asked for, and there are {domains} domains. Ask for {domains} experts at most, or "
            "name more domains."
        )
