"""Publishing a bundle: into a folder, as a branch of a Git repository, or as a pull request on the Hugging Face Hub.

The published bytes are those that were verified and shown: they stay in memory in between. Media are published only
where the caller hands them over, beside the bundle and never in it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from vidchatbench.api.samples import Role
from vidchatbench.core.atomic import write_atomically
from vidchatbench.errors import UnavailableError, UsageError
from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, SIGNATURE_FILE, SUBMISSIONS_FOLDER, bundle_path
from vidchatbench.leaderboard.verification.reading import Bundle

MEDIA_FOLDER = "media"
BOARD_FOLDER = "leaderboard"
_WHO = ("AUTHOR", "COMMITTER")
Kind = Literal["hf", "git", "folder"]
_KINDS: tuple[Kind, ...] = ("hf", "git", "folder")


@dataclass(frozen=True)
class Target:
    """Where to publish: ``hf:ORG/DATASET``, ``git:PATH`` or ``folder:PATH``."""

    kind: Kind
    place: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads a target as the command line gives it.

        Raises:
            UsageError: If it is none.
        """
        kind, colon, place = text.partition(":")
        for known in _KINDS:
            if kind == known and colon and place:
                return cls(known, place)
        raise UsageError(f"{text!r} is no place to submit to; give hf:ORG/DATASET, git:PATH or folder:PATH")


@dataclass(frozen=True)
class Publication:
    """What is published.

    Attributes:
        name: ``<system>/<revision>``.
        title: One line for people.
        files: The bundle's files by their path below the leaderboard.
        media: Outputs that are published too, by their path below the leaderboard.
    """

    name: str
    title: str
    files: Mapping[str, bytes]
    media: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Bundle, outputs: Path | None = None, signature: bytes | None = None) -> Publication:
        """Gathers the files of a bundle, and the outputs that it was scored on where a folder is given."""
        name = bundle_path(bundle.system)
        contents = {**bundle.contents, BUNDLE_FILE: bundle.hashes.encode()}
        if signature is not None:
            contents[SIGNATURE_FILE] = signature
        media = {}
        if outputs is not None:
            media = {
                f"{MEDIA_FOLDER}/{name}/{line.file}": outputs / line.file
                for line in bundle.media
                if line.role is Role.CANDIDATE and line.sha256 is not None
            }
        revision = f" {bundle.system.revision}" if bundle.system.revision else ""
        return cls(
            name=name,
            title=f"Submission: {bundle.system.name}{revision}".replace("\n", " "),
            files={f"{SUBMISSIONS_FOLDER}/{name}/{file}": contents[file] for file in sorted(contents)},
            media=media,
        )

    def alone(self) -> Publication:
        """Returns the same files without the folders that a board puts them into."""
        files = {PurePosixPath(name).name: content for name, content in self.files.items()}
        media = {f"{MEDIA_FOLDER}/{PurePosixPath(name).name}": path for name, path in self.media.items()}
        return replace(self, files=files, media=media)


def publish(publication: Publication, target: Target) -> str:
    """Publishes, and returns one sentence: the result, and the next step if there is one.

    Raises:
        UsageError: If the target is not there or refuses.
        UnavailableError: If a program is missing.
        OSError: If a file cannot be written.
    """
    ways: dict[Kind, Callable[[Publication, str], str]] = {"folder": to_folder, "git": to_git, "hf": to_hub}
    return ways[target.kind](publication, target.place)


def to_folder(publication: Publication, place: str) -> str:
    """Writes the files into a folder; a bundle that lies there already is not overwritten by another."""
    _write(publication, Path(place))
    return f"written to {place}; on a board the files lie in {SUBMISSIONS_FOLDER}/{publication.name}"


def replace_in_folder(publication: Publication, root: Path) -> None:
    """Writes the files below a board's folder, in place of an earlier bundle of the same system and revision."""
    earlier = root / SUBMISSIONS_FOLDER / publication.name
    if earlier.is_dir():
        shutil.rmtree(earlier)
    _write(publication, root)


def _write(publication: Publication, root: Path) -> None:
    for name, content in publication.files.items():
        path = root / name
        if path.is_file() and path.read_bytes() != content:
            raise UsageError(
                f"{path.parent} holds another submission under this name; give another folder, give the system another "
                "revision in system.yaml, or remove the folder"
            )
    for name, content in publication.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(root / name, content)
    for name, source in publication.media.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / name)


def to_git(publication: Publication, place: str) -> str:
    """Commits the files to a new branch of a repository, without touching its working tree."""
    git = shutil.which("git")
    if git is None:
        raise UnavailableError("git is not on the path", "install git, or submit to folder:PATH")
    repository = Path(place)
    if not repository.is_dir():
        raise UsageError(f"{place} is no folder; give a clone of the leaderboard's repository")

    def run(*arguments: str, where: Path = repository) -> str:
        done = subprocess.run(  # noqa: S603 - git by its path, arguments without a shell
            [git, "-C", str(where), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()
            raise UsageError(f"git {arguments[0]} failed in {place}: {reason[-1] if reason else done.returncode}")
        return done.stdout.strip()

    run("rev-parse", "--verify", "HEAD")
    _check_identity(git, repository)
    branch = f"submission/{publication.name.replace('/', '-')}"
    if run("branch", "--list", branch):
        raise UsageError(f"{place} has a branch {branch} already; delete it, or give the system another revision")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        run("worktree", "add", "--quiet", "-b", branch, str(tree), "HEAD")
        committed = False
        try:
            root = tree / BOARD_FOLDER if (tree / BOARD_FOLDER).is_dir() else tree
            _write(publication, root)
            names = [str((root / name).relative_to(tree)) for name in (*publication.files, *publication.media)]
            run("add", "--force", "--", *names, where=tree)
            run("commit", "--quiet", "-m", publication.title, where=tree)
            committed = True
        finally:
            run("worktree", "remove", "--force", str(tree))
            if not committed:
                run("branch", "-D", branch)
    return (
        f"committed to branch {branch} of {place}; push it and open a pull request with "
        f"`git -C {place} push -u origin {branch}`, or send the output of "
        f"`git -C {place} format-patch -1 --stdout {branch}`"
    )


def _check_identity(git: str, repository: Path) -> None:
    """Makes sure that Git knows who commits.

    Raises:
        UsageError: If it does not; the settings that are missing are named.
    """

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - git by its path, arguments without a shell
            [git, "-C", str(repository), *arguments], capture_output=True, text=True, check=False
        )

    asked = [ask("var", f"GIT_{who}_IDENT") for who in _WHO]
    if not any(done.returncode for done in asked):
        return
    missing = [
        setting
        for setting in ("user.name", "user.email")
        if not all(os.environ.get(f"GIT_{who}_{setting.partition('.')[2].upper()}") for who in _WHO)
        and not ask("config", "--get", setting).stdout.strip()
    ]
    if not missing:
        reason = next(done.stderr for done in asked if done.returncode).strip().splitlines()
        raise UsageError(f"git does not know who commits in {repository}: {reason[-1] if reason else 'no reason'}")
    values = {"user.name": '"YOUR NAME"', "user.email": "YOU@EXAMPLE.ORG"}
    commands = "; ".join(f"git -C {repository} config {setting} {values[setting]}" for setting in missing)
    are = "is" if len(missing) == 1 else "are"
    raise UsageError(f"git does not know who commits: {' and '.join(missing)} {are} not set; to fix: {commands}")


def to_hub(publication: Publication, place: str, endpoint: str | None = None) -> str:
    """Opens a pull request on a dataset repository; the token is that of the environment or of `hf auth login`.

    Args:
        publication: What is published.
        place: ``ORG/DATASET``.
        endpoint: Address of the Hub; by default the one that ``HF_ENDPOINT`` names, else the public one.

    Raises:
        UsageError: If there is no token, or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token  # heavy, and only for this
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    token = get_token()
    if token is None:
        raise UsageError("there is no token for the Hub; run `hf auth login`, or set HF_TOKEN")
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=data) for name, data in publication.files.items()
    ]
    operations += [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(path)) for name, path in publication.media.items()
    ]
    try:
        done = HfApi(endpoint=endpoint).create_commit(
            place,
            operations,
            commit_message=publication.title,
            repo_type="dataset",
            create_pr=True,
        )
    except HFValidationError as error:
        raise UsageError(f"{place!r} is no ORG/DATASET: {error}") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).replace(token, "***").strip().splitlines()
        raise UsageError(f"the Hub refused the pull request on {place}: {reason[0] if reason else error!r}") from None
    return f"pull request opened: {done.pr_url}"


def sign(bundle: Bundle) -> bytes:
    """Signs ``bundle.sha256`` with Sigstore and returns the signature; a browser may open for the signer to log in.

    Raises:
        UnavailableError: If Sigstore is not installed.
        UsageError: If signing fails.
    """
    if importlib.util.find_spec("sigstore") is None:
        raise UnavailableError("signing needs sigstore, which is not installed", "pip install 'vidchatbench[sign]'")
    with tempfile.TemporaryDirectory() as scratch:
        path, signature = Path(scratch) / BUNDLE_FILE, Path(scratch) / SIGNATURE_FILE
        path.write_text(bundle.hashes, encoding="utf-8", newline="")
        command = [sys.executable, "-m", "sigstore", "sign", "--bundle", str(signature), str(path)]
        done = subprocess.run(command, check=False)  # noqa: S603 - this Python, arguments without a shell
        if done.returncode or not signature.is_file():
            raise UsageError("sigstore could not sign; submit without --sign, or see its message above")
        return signature.read_bytes()
