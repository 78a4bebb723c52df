"""Git, as far as an index or a package lies in a repository: one commit of it, and nothing that it could run.

No shell, no hooks, no submodules, no filters, no question for a password; only files and https; always a time limit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from artefacts.registry.error import RegistryError

TIME_LIMIT = 120
"""Seconds after which Git is stopped."""
SAFE = (
    "core.hooksPath=/dev/null", "core.fsmonitor=false", "core.symlinks=false", "core.autocrlf=false",
    "credential.helper=", "credential.interactive=false", "submodule.recurse=false", "protocol.allow=never",
    "protocol.file.allow=always", "protocol.https.allow=always", "http.followRedirects=initial", "gc.auto=0",
    "init.defaultBranch=main", "advice.detachedHead=false", "commit.gpgSign=false", "core.attributesFile=/dev/null",
)  # fmt: skip
CERTIFICATES = ("GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
NETWORK = ("http.sslcainfo", "http.sslcapath", "http.proxy", "http.proxysslcainfo")
"""Settings of the user that are kept: without them the hosts of many companies cannot be reached."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")


def split_url(text: str) -> tuple[str, str]:
    """Address and reference of ``git+https://host/path[@ref]`` or ``git+file:///path[@ref]``.

    Returns
    -------
    tuple of str
        The address without ``git+``, and the branch, tag or commit (``HEAD`` when none is named).

    Raises
    ------
    RegistryError
        ``bad-git-url``: another kind of address, a password in it, or a reference that Git would take for an option.
    """
    url = text.removeprefix("git+")
    head, separator, path = url.partition("://")
    host, slash, path = path.partition("/")
    path, _, ref = path.rpartition("@") if "@" in path else (path, "", "HEAD")
    address = f"{head}{separator}{host}{slash}{path}"
    place = urlsplit(address)
    fault = (
        "only git+file:// and git+https:// are known" if place.scheme not in ("file", "https")
        else "an address must not hold a name or a password" if "@" in place.netloc
        else "a local address is git+file:///path" if place.scheme == "file" and place.netloc
        else "it names no repository" if not place.path.strip("/")
        else "it has control characters" if not url.isprintable()
        else f"{ref!r} is no branch, tag or commit" if not _REF.fullmatch(ref) or ".." in ref
        else ""
    )  # fmt: skip
    if fault:
        raise RegistryError("bad-git-url", f"{text!r} is no address of a Git repository: {fault}.")
    return address, ref


def commit_of(url: str, ref: str) -> str:
    """The commit that a reference names in the repository now.

    Raises
    ------
    RegistryError
        ``git-unreachable``: no repository there, or no network; ``git-unknown-ref``: no such branch, tag or commit.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    names = (
        ["HEAD"]
        if ref == "HEAD"
        else [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", f"refs/{ref}", ref]
    )
    found = {}
    for line in _git(["ls-remote", "--", url, ref, f"{ref}^{{}}"], url).splitlines():
        commit, _, name = line.partition("\t")
        found[name] = commit
    for name in names:
        if name in found:
            return found[name]
    raise RegistryError(
        "git-unknown-ref",
        f"The repository {url} has no branch, tag or commit {ref!r}. See 'git ls-remote {url}' for what it has.",
    )


def check_out(url: str, commit: str, folder: Path) -> None:
    """Put the files of one commit into a new folder.

    Raises
    ------
    RegistryError
        ``git-unreachable`` or ``git-unknown-ref``, as for :func:`commit_of`.
    """
    _git(["init", "--quiet", "--template=", "--", str(folder)], url)
    try:
        _git(["fetch", "--quiet", "--depth=1", "--no-tags", "--", url, commit], url, folder)
    except RegistryError:  # a server that gives no single commit by its hash, or a commit that it lacks
        _git(["fetch", "--quiet", "--tags", "--", url, "+refs/heads/*:refs/remotes/origin/*"], url, folder)
    try:
        _git(["checkout", "--quiet", "--detach", commit, "--"], url, folder)
    except RegistryError as error:
        raise RegistryError("git-unknown-ref", f"The repository {url} has no commit {commit}.") from error


def is_work_tree(folder: Path) -> bool:
    """Whether a folder lies in a Git work tree."""
    try:
        return _git(["rev-parse", "--is-inside-work-tree"], str(folder), folder).strip() == "true"
    except RegistryError:
        return False


def commit_paths(folder: Path, paths: Sequence[Path], message: str) -> bool:
    """Commit these files and no others; whether there was anything to commit."""
    names = [str(path.relative_to(folder)) for path in paths]
    _git(["add", "--force", "--", *names], str(folder), folder)
    if not _git(["status", "--porcelain", "--", *names], str(folder), folder).strip():
        return False
    _git(["commit", "--quiet", "--no-verify", f"--message={message}", "--", *names], str(folder), folder, own=True)
    return True


REMOTE = ("ls-remote", "fetch")
"""Commands of Git that ask another machine."""


def _git(arguments: Sequence[str], what: str, folder: Path | None = None, *, own: bool = False) -> str:
    """Run Git; ``own`` for the user's own repository, where the user's name is wanted."""
    network = _network(what) if arguments[0] in REMOTE else []
    settings = [word for setting in (*SAFE, *network) for word in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", *settings, *arguments], cwd=folder, env=_environment(own), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise RegistryError("git-missing", "The program git is not on this machine; install it first.") from error
    except subprocess.TimeoutExpired as error:
        raise RegistryError(
            "git-unreachable", f"Git had no answer from {what} within {TIME_LIMIT} s. Try again, or use a local copy."
        ) from error
    if done.returncode:
        why = " ".join(done.stderr.split())[-400:].rstrip(".") or "no reason given"
        raise RegistryError(
            "git-unreachable",
            f"Git cannot read {what}: {why}. Check the address and the network; indexes that "
            "were read before answer with --offline.",
        )
    return done.stdout


def _network(url: str) -> list[str]:
    """The user's certificates and proxies for an address."""
    if not url.startswith("https://") or not (program := shutil.which("git")):
        return []
    done = subprocess.run(
        [program, "config", "--null", "--get-urlmatch", "http", url], cwd="/", check=False,
        env=_without_git(), capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT,
    )  # fmt: skip
    pairs = (entry.partition("\n") for entry in done.stdout.split("\0"))
    return [f"{name}={value}" for name, _, value in pairs if name in NETWORK]


def _without_git() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


def _environment(own: bool) -> dict[str, str]:
    kept = {**_without_git(), **{name: os.environ[name] for name in CERTIFICATES if name in os.environ}}
    quiet = {
        "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true", "GCM_INTERACTIVE": "never",
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C",
    }  # fmt: skip
    if not own:
        return {**kept, **quiet, "GIT_CONFIG_GLOBAL": os.devnull}
    names = {
        f"GIT_{who}_{part}": value
        for who in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "fairmoe"), ("EMAIL", "fairmoe@localhost"))
        if not _configured(f"user.{part.lower()}")
    }
    return {**kept, **quiet, **names}


def _configured(name: str) -> bool:
    done = subprocess.run(["git", "config", "--get", name], capture_output=True, timeout=TIME_LIMIT, check=False)
    return done.returncode == 0
