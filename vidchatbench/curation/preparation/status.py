"""The condition of a prepared test set: which samples are alive, which are gone and why, which differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from vidchatbench.core import paths
from vidchatbench.core.models import FrozenModel
from vidchatbench.core.progress import Progress
from vidchatbench.curation.preparation.clips import WholeClips, clip_files
from vidchatbench.curation.preparation.fingerprints import compare, fingerprint
from vidchatbench.curation.preparation.ledger import Ledger, Outcome
from vidchatbench.curation.preparation.listing import LIST_FILE, ListedClip, ListedSample, read_list
from vidchatbench.curation.preparation.plan import load_plan
from vidchatbench.curation.preparation.portraits import image_is_whole
from vidchatbench.curation.preparation.run import LEDGER_FILE
from vidchatbench.errors import MediaError, UsageError

Condition = Literal["alive", "dead", "unreachable", "differing", "damaged", "waiting"]
CONDITIONS: tuple[Condition, ...] = ("alive", "dead", "unreachable", "differing", "damaged", "waiting")
MEANING: Mapping[Condition, str] = {
    "alive": "prepared, and as published where a fingerprint is published",
    "dead": "gone for good: no other try will bring it",
    "unreachable": "not to be had now; run `vidchatbench data prepare` again",
    "differing": "prepared, but it shows or says something else than what was published",
    "damaged": "the files are not those that were prepared; run `vidchatbench data prepare` again",
    "waiting": "not tried yet",
}
_WORST: tuple[Condition, ...] = ("dead", "unreachable", "waiting", "damaged", "differing", "alive")


class SampleStatus(FrozenModel):
    """How one sample stands; ``reason`` and ``message`` say why it is not alive."""

    id: str
    condition: Condition
    reason: str | None = None
    message: str | None = None


class SetStatus(FrozenModel):
    """How a test set stands.

    Attributes:
        name: Its name.
        version: Version of its list.
        listed: Entries of the list.
        counts: Samples by condition.
        reasons: Samples that are not alive, by reason.
        compared: Clips that were compared with a published fingerprint.
        notes: What is unusual about clips that are alive.
        samples: Every sample.
    """

    schema_version: Literal[1] = 1
    name: str
    version: str
    listed: int
    counts: dict[Condition, int]
    reasons: dict[str, int]
    compared: int
    notes: tuple[str, ...]
    samples: tuple[SampleStatus, ...]


def status_of(root: Path, progress: Progress) -> SetStatus:
    """Looks at a prepared test set; every file is read and hashed.

    Args:
        root: Its folder.
        progress: Receives progress.

    Raises:
        UsageError: If nothing was prepared there.
        InputError: If the plan is damaged.
    """
    planned = load_plan(root / "preparation")
    if planned is None:
        raise UsageError(f"nothing was prepared in {root}; begin with: vidchatbench data prepare --out {root}")
    published = _published(planned.plan.name)
    look = _Look(root, Ledger(root / "preparation" / LEDGER_FILE), published)
    samples = [
        SampleStatus(id=lost.id, condition="dead", reason=lost.reason, message=lost.message)
        for lost in planned.plan.lost
    ]
    progress.begin("looking at samples", len(planned.samples), "samples")
    for number, sample in enumerate(planned.samples):
        samples.append(look.sample(sample))
        progress.advance(number + 1)
    progress.end()
    reasons: dict[str, int] = {}
    for one in samples:
        if one.reason is not None:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
    return SetStatus(
        name=planned.plan.name,
        version=planned.plan.version,
        listed=planned.plan.listed,
        counts={condition: sum(one.condition == condition for one in samples) for condition in CONDITIONS},
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        compared=look.compared,
        notes=tuple(look.notes),
        samples=tuple(samples),
    )


def _published(name: str) -> Mapping[str, ListedClip]:
    path = paths.packaged_benchmark(name) / LIST_FILE
    if not path.is_file():
        return {}
    return {clip.clip: clip for sample in read_list(path) for clip in sample.clips}


class _Look:
    def __init__(self, root: Path, ledger: Ledger, published: Mapping[str, ListedClip]) -> None:
        self._root = root
        self._ledger = ledger
        self._whole = WholeClips(root, ledger)
        self._published = published
        self._seen: dict[str, SampleStatus] = {}
        self.compared = 0
        self.notes: list[str] = []

    def sample(self, sample: ListedSample) -> SampleStatus:
        """Returns the condition of a sample, which is that of its worst clip."""
        clips = [self._clip(clip) for clip in sample.clips]
        worst = min(clips, key=lambda clip: _WORST.index(clip.condition))
        if worst.condition == "alive" and sample.responder is not None:
            worst = self._image(sample.responder) or worst
        return SampleStatus(id=sample.id, condition=worst.condition, reason=worst.reason, message=worst.message)

    def _clip(self, clip: ListedClip) -> SampleStatus:
        if clip.clip not in self._seen:
            self._seen[clip.clip] = self._look_at(clip)
        return self._seen[clip.clip]

    def _look_at(self, clip: ListedClip) -> SampleStatus:
        outcome, video = self._ledger.get("clip", clip.clip), self._ledger.get("video", clip.video)
        if outcome is not None and self._whole.holds(clip):
            self._note(clip, outcome)
            return self._against_published(clip, outcome)
        # What became of the video when it was last asked for says why there is no clip; but a clip that was found not
        # to be in it stays dead while the video cannot be had.
        if video is not None and video.state != "done" and (outcome is None or outcome.state != "dead"):
            return _told(clip.clip, video)
        if outcome is None:
            return SampleStatus(id=clip.clip, condition="waiting", reason="not_tried", message=f"video {clip.video}")
        if outcome.state != "done":
            return _told(clip.clip, outcome)
        missing = not all(path.is_file() for path in clip_files(self._root, clip.clip))
        message = f"{clip.clip}: {'a file is missing' if missing else 'a file is not the one that was prepared'}"
        return SampleStatus(id=clip.clip, condition="damaged", reason="file_changed", message=message)

    def _against_published(self, clip: ListedClip, outcome: Outcome) -> SampleStatus:
        listed = self._published.get(clip.clip)
        known = None if listed is None else listed.fingerprint
        if known is None:
            return SampleStatus(id=clip.clip, condition="alive")
        self.compared += 1
        if outcome.facts["sha256"] == known.sha256:
            return SampleStatus(id=clip.clip, condition="alive")
        picture, _ = clip_files(self._root, clip.clip)
        try:
            likeness = compare(fingerprint(picture), known)
        except MediaError as error:
            return SampleStatus(id=clip.clip, condition="damaged", reason="unreadable", message=str(error))
        if likeness == "differing":
            message = f"{clip.clip} shows or says something else than the published clip"
            return SampleStatus(id=clip.clip, condition="differing", reason="other_content", message=message)
        return SampleStatus(id=clip.clip, condition="alive")

    def _image(self, clip: ListedClip) -> SampleStatus | None:
        outcome = self._ledger.get("image", clip.clip)
        if outcome is None or outcome.state != "done" or image_is_whole(self._root, clip.clip, self._ledger):
            return None
        message = f"{clip.clip}: its reference image is not the one that was prepared"
        return SampleStatus(id=clip.clip, condition="damaged", reason="file_changed", message=message)

    def _note(self, clip: ListedClip, outcome: Outcome) -> None:
        facts = outcome.facts
        own = f"{facts.get('source_width')}x{facts.get('source_height')}"
        annotated = facts.get("annotated_size")
        if annotated is not None and annotated != own:
            self.notes.append(f"{clip.clip}: cut from a picture of {own}, annotated on {annotated}")
        if missing := facts.get("missing_frames"):
            self.notes.append(f"{clip.clip}: {missing} frames shorter than annotated, where the video ends")


def _told(name: str, outcome: Outcome) -> SampleStatus:
    condition: Condition = "dead" if outcome.state == "dead" else "unreachable"
    return SampleStatus(id=name, condition=condition, reason=outcome.reason, message=outcome.message)
