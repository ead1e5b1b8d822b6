"""``dialogue/judge_scores``: a panel's scores of replies; ``dialogue/judge_frames``: the pictures it may be shown."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from vidchatbench.api import (
    AXES,
    NO_JUDGE,
    NO_JUDGE_FIX,
    Array,
    ClipInfo,
    Content,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Judge,
    JudgeRequest,
    Need,
    Param,
    Refusal,
    Role,
    Sample,
    SampleExtractor,
    SampleInput,
    SampleNotes,
    Timeline,
)
from vidchatbench_metrics.dialogue.transcription.given_transcript import text_feature
from vidchatbench_metrics.dialogue.transcription.source import DEFAULT, Transcripts
from vidchatbench_metrics.dialogue.transcription.transcript import OK
from vidchatbench_metrics.dialogue.wer import is_english

FRAME_RATE = 2
MAX_SIDE = 512
JPEG_QUALITY = 85
_CAPACITY = 32


class JudgeScores(SampleExtractor):
    """Scores of a reply on the axes of the rubric, by every judge, as often as it is asked.

    A sample whose initiator has no transcript in the manifest does not apply: without what was said before, nobody can
    say whether a reply fits.

    Parameters:
        judge: Public name of a judge; :meth:`setup` is handed the judge itself.
        transcripts: Where the reply's text comes from (see ``transcripts.Transcripts``).
        frames: Number of pictures of the initiator that the judge is shown; it must be able to see.

    Arrays:
        scores: int8 (judges, repeats, 5), each 1..5; of shape (0, 0, 5) where ``status`` is not ``ok``.
        tokens: int64 (judges, 2), read and written, as the endpoints counted them.

    Meta:
        status: That of the transcript.
        judges, answered_by, fingerprints, format, reasons: One text per judge, separated by ``" | "``.
        rubric, prompt_sha256, seed, temperature, not_taken, tokens_estimated: How they were asked.
        reply_words, cut: The reply's length in words, and whether it was too long to be shown whole.
    """

    id: ClassVar[str] = "dialogue/judge_scores"
    defaults: ClassVar[Mapping[str, Param]] = {"judge": None, "transcripts": DEFAULT, "frames": 0}

    def __init__(self, **params: Param) -> None:
        super().__init__(**params)
        self._judge: Judge | None = None

    @property
    def judge_name(self) -> str | None:
        """Public name of the judge."""
        name = self.params["judge"]
        return None if name is None else str(name)

    def setup(self, context: ExtractorContext) -> None:
        """Takes the judge."""
        self._judge = context.judge

    def release(self) -> None:
        """Lets go of the judge."""
        self._judge = None

    def lack(self) -> tuple[str, str] | None:
        """Returns the missing judge and how to start one, if no judge is given."""
        return (NO_JUDGE, NO_JUDGE_FIX) if self.params["judge"] is None else None

    @property
    def source(self) -> Transcripts:
        """Where the reply's text comes from."""
        return Transcripts(str(self.params["transcripts"]))

    def reads(self) -> tuple[Need, ...]:
        """The transcript, unless the user brings it, and the pictures, if there are to be any."""
        needs = () if self.source.given else (self.source.need(),)
        if not (frames := int(self.number("frames"))):
            return needs
        return (*needs, Need("frames", ExtractorSpec.of("dialogue/judge_frames", frames=frames), (Role.INITIATOR,)))

    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns the conversation, and the reply's text where the user brings it."""
        if not (sample.initiator.transcript or "").strip():
            return None
        if self.source.english_only and not is_english(sample.language):
            return None  # what the recogniser would hear is not what was said
        content: dict[str, object] = {
            "language": sample.language,
            "initiator": sample.initiator.transcript,
            "history": [[turn.role, turn.transcript] for turn in sample.history],
        }
        if self.source.given:
            if notes.given_transcript is None:
                return None
            content["reply"] = notes.given_transcript
        return content

    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields the features as the judges' answers come in; replies without words are not put to them.

        Raises:
            RuntimeError: If :meth:`setup` was not handed a judge.
        """
        if self._judge is None:
            raise RuntimeError(f"{self.id} was set up without a judge")
        requests: list[JudgeRequest] = []
        positions: list[int] = []
        for position, one in enumerate(inputs):
            reply = one.features.get("transcript") or text_feature(str(one.content["reply"]))
            status = str(reply.meta["status"])
            if status != OK:
                empty: dict[str, Array] = {
                    "scores": np.zeros((0, 0, len(AXES)), np.int8),
                    "tokens": np.zeros((0, 2), np.int64),
                }
                yield position, Feature(empty, {"status": status})
                continue
            requests.append(_request(one, str(reply.meta["text"])))
            positions.append(position)
        for number, answer in self._judge.score(requests):
            if isinstance(answer, Refusal):
                yield positions[number], answer
            else:
                arrays: dict[str, Array] = {"scores": answer.scores, "tokens": answer.tokens}
                yield positions[number], Feature(arrays, {"status": OK, **answer.meta})


def _request(one: SampleInput, reply: str) -> JudgeRequest:
    content: Mapping[str, Any] = one.content
    pictures = one.features.get("frames")
    frames = () if pictures is None else tuple(pictures[name].tobytes() for name in sorted(pictures.arrays))
    return JudgeRequest(
        name=one.name,
        language=str(content["language"]),
        initiator=str(content["initiator"]),
        reply=reply,
        history=tuple((str(role), str(text)) for role, text in content["history"]),
        frames=frames,
    )


class JudgeFrames(FrameExtractor):
    """Evenly spaced pictures of a clip as JPEG, for judges that see.

    Of ``n`` frames at 2 a second, the middle one of each of ``frames`` equal parts, as near as a memory of 32 pictures
    allows; scaled down to 512 pixels at most, JPEG of quality 85.

    Parameters:
        frames: Number of pictures, 1 to 8.

    Arrays:
        ``jpeg0``, ``jpeg1``, ...: uint8, the bytes of each file, in order of time; fewer for a clip of fewer frames.
    """

    id: ClassVar[str] = "dialogue/judge_frames"
    defaults: ClassVar[Mapping[str, Param]] = {"frames": 3}

    @property
    def fps(self) -> float:
        """Two frames a second."""
        return FRAME_RATE

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        """Starts a clip."""
        del clip, upstream
        return _Pictures(int(self.number("frames")))


class _Pictures(FrameSession):
    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._frames = 0
        self._stride = 1
        self._kept: dict[int, bytes] = {}

    def push(self, frame: Frame) -> None:
        index = self._frames
        self._frames += 1
        if index % self._stride:
            return
        file = io.BytesIO()
        Image.fromarray(frame.fit(MAX_SIDE)[0]).save(file, "JPEG", quality=JPEG_QUALITY)
        self._kept[index] = file.getvalue()
        if len(self._kept) > _CAPACITY:
            # How long a clip is shows only at its end; until then every second picture is let go of.
            self._stride *= 2
            self._kept = {at: jpeg for at, jpeg in self._kept.items() if at % self._stride == 0}

    def finish(self) -> Feature:
        chosen = sorted({self._nearest((2 * k + 1) * self._frames // (2 * self._wanted)) for k in range(self._wanted)})
        jpegs = [np.frombuffer(self._kept[at], np.uint8) for at in chosen if at in self._kept]
        return Feature({f"jpeg{number}": jpeg for number, jpeg in enumerate(jpegs)}, {"frames": self._frames})

    def _nearest(self, wanted: int) -> int:
        return min(self._kept, key=lambda at: abs(at - wanted), default=-1)
