"""Offering an export to the Hugging Face hub, as a pull request that its owners look at before it is public there."""

from __future__ import annotations

from vidchatbench.benchmark.export import Export
from vidchatbench.benchmark.hub import HubName
from vidchatbench.benchmark.hub_errors import in_our_words
from vidchatbench.errors import UsageError


def check_may_push(dataset: str, export_license: str | None, *, media: bool, may_publish: bool) -> None:
    """Checks that an export may be pushed, before anything is written.

    Raises:
        UsageError: If the name is none, or the licence does not let media be passed on and nobody vouches for it.
    """
    if HubName.parse(dataset).revision is not None:
        raise UsageError(f"{dataset!r}: a push names no revision, it becomes a pull request")
    if media and export_license is None and not may_publish:
        raise UsageError(
            "the benchmark's licence does not say that its media may be passed on, and they are clips of other people: "
            "push the rows alone with --without-media, or, if you hold the right to publish the clips, give "
            "--i-may-publish"
        )


def push_export(export: Export, dataset: str, *, may_publish: bool = False) -> str:
    """Uploads an export as a pull request; the dataset is created if there is none.

    Args:
        export: The export.
        dataset: ``org/name``.
        may_publish: Whether the caller vouches for the right to publish media whose licence does not give it.

    Returns:
        The address of the pull request.

    Raises:
        UsageError: If it may not be pushed, or there is no such organisation.
        UnavailableError: If the hub cannot be reached or wants a login.
    """
    from huggingface_hub import HfApi  # takes a while to import

    check_may_push(dataset, export.license, media=export.media, may_publish=may_publish)
    with in_our_words(dataset, None):
        api = HfApi()
        api.create_repo(dataset, repo_type="dataset", exist_ok=True)
        commit = api.upload_folder(
            repo_id=dataset,
            repo_type="dataset",
            folder_path=export.folder,
            commit_message=f"Benchmark exported by VidChatBench: {export.n_samples} samples",
            create_pr=True,
        )
    return str(commit.pr_url or commit.commit_url)
