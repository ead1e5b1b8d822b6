"""One loader for the whole dataset: all four branches and both tiers, streamed one source video at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, get_args

from vidchatbench.core.paths import cache_root
from vidchatbench.curation.speakervid.index import AnnotationIndex, IndexedClip, VideoClips
from vidchatbench.curation.speakervid.indexing import Progress
from vidchatbench.curation.speakervid.layout import HQ_LIST
from vidchatbench.curation.speakervid.pairing import (
    GAP_S,
    HISTORY_S,
    dialogue_pairs,
    find_initiator,
    histories,
    listening_pairs,
)
from vidchatbench.curation.speakervid.quality import is_hq
from vidchatbench.curation.speakervid.records import ClipRecord
from vidchatbench.errors import InputError, UsageError

__all__ = ["BRANCHES", "TIERS", "Branch", "BranchItem", "SpeakerVid", "Tier", "branch_items", "find_initiator"]

Branch = Literal["dialogue", "single", "listening", "multi_turn"]
Tier = Literal["all", "hq"]
BRANCHES: tuple[Branch, ...] = get_args(Branch)
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True, slots=True)
class BranchItem:
    """One item of a branch.

    Attributes:
        branch: The branch.
        responder: The clip to be generated: the answer, the speaker of a single clip, or the listener.
        initiator: The turn that is answered, or the one who speaks to the listener; ``None`` in the branch ``single``.
        history: Turns before the initiator's, in their order; only in the branch ``multi_turn``.
    """

    branch: Branch
    responder: ClipRecord
    initiator: ClipRecord | None = None
    history: tuple[ClipRecord, ...] = ()

    @property
    def sides(self) -> tuple[ClipRecord, ...]:
        """The responder's clip and, if there is one, the initiator's."""
        return (self.responder,) if self.initiator is None else (self.initiator, self.responder)

    @property
    def clips(self) -> tuple[ClipRecord, ...]:
        """All clips, in the order of the conversation."""
        return (*self.history, *self.sides)


class SpeakerVid:
    """SpeakerVid-5M as annotations; media are not part of it.

    Args:
        source: The dataset's folder, an index file, or an open index. A folder is indexed first, or where an earlier
            indexing ended; its index is kept in the cache.
        progress: Receives what is being indexed.

    Raises:
        InputError: If there are no annotations, or archives are damaged.

    Use it in a ``with`` block, or close it.
    """

    def __init__(self, source: Path | str | AnnotationIndex, *, progress: Progress | None = None) -> None:
        if isinstance(source, AnnotationIndex):
            self.index = source
        elif Path(source).is_dir():
            root = Path(source).resolve()
            self.index = AnnotationIndex.build(root, index_path(root), progress)
        elif Path(source).exists():
            self.index = AnnotationIndex.open(Path(source))
        else:
            raise InputError(str(source), ["there is no such folder or index"])

    def __enter__(self) -> SpeakerVid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the index."""
        self.index.close()

    @property
    def hq_rule(self) -> str:
        """What decides the tier ``hq``: the published list if there is one, else the thresholds."""
        return HQ_LIST if self.index.has_hq_list else "thresholds"

    def iterate(
        self, branch: Branch = "dialogue", tier: Tier = "all", history_s: float = HISTORY_S, gap_s: float = GAP_S
    ) -> Iterator[BranchItem]:
        """Yields the items of a branch by video id and start of the responder; holds one video's clips at a time.

        Args:
            branch: ``dialogue``, ``single``, ``listening`` or ``multi_turn``.
            tier: ``all``, or ``hq``: both sides are of high quality, by :attr:`hq_rule`.
            history_s: How far before an answer its history may begin, in seconds.
            gap_s: Longest silence between turn and answer and within a conversation, in seconds.

        Raises:
            UsageError: If a value means nothing.
        """
        check_choice(branch, tier, history_s, gap_s)
        return self._items(branch, tier, history_s, gap_s)

    def _items(self, branch: Branch, tier: Tier, history_s: float, gap_s: float) -> Iterator[BranchItem]:
        for video in self.index.videos():
            high = {clip.record.name.text for clip in video.clips if tier == "hq" and _is_high(clip)}
            for item in branch_items(records_of(video), branch, history_s=history_s, gap_s=gap_s):
                if tier == "all" or all(side.name.text in high for side in item.sides):
                    yield item


def branch_items(
    clips: Sequence[ClipRecord], branch: Branch, *, history_s: float = HISTORY_S, gap_s: float = GAP_S
) -> Iterator[BranchItem]:
    """Yields the items that the clips of one video give in a branch."""
    if branch == "single":
        for clip in clips:
            if clip.heard:
                yield BranchItem(branch, clip)
    elif branch == "dialogue":
        for initiator, responder in dialogue_pairs(clips, gap_s):
            yield BranchItem(branch, responder, initiator)
    elif branch == "listening":
        for speaker, listener in listening_pairs(clips):
            yield BranchItem(branch, listener, speaker)
    else:
        for initiator, responder, history in histories(clips, gap_s, history_s):
            yield BranchItem(branch, responder, initiator, history)


def check_choice(branch: str, tier: str, history_s: float, gap_s: float) -> None:
    """Checks what a caller chose.

    Raises:
        UsageError: If there is no such branch or tier, or a time is not positive.
    """
    if branch not in BRANCHES:
        raise UsageError(f"there is no branch {branch!r}; known: {', '.join(BRANCHES)}")
    if tier not in TIERS:
        raise UsageError(f"there is no tier {tier!r}; known: {', '.join(TIERS)}")
    for name, value in (("history", history_s), ("gap", gap_s)):
        if not 0 < value < float("inf"):
            raise UsageError(f"the {name} is a positive number of seconds, not {value:g}")


def records_of(video: VideoClips) -> list[ClipRecord]:
    """Returns the records of a video's clips."""
    return [clip.record for clip in video.clips]


def index_path(root: Path) -> Path:
    """Returns where the index of a dataset's folder is kept."""
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return cache_root() / "speakervid" / f"{name}.sqlite"


def _is_high(clip: IndexedClip) -> bool:
    return is_hq(clip.record) if clip.hq is None else clip.hq
