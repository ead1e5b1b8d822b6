"""Extractors of samples: they read what a sample says and features of its clips, never the clips themselves.

Text encoders and judges are of this kind. They run after all clips have been decoded, on all samples at once, so that a
text encoder can batch and a judge can ask for many answers at the same time. Their features are stored like any others,
under a key of everything that can change them: the extractor, what it read of the sample, and the features it read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from vidchatbench.api.extractors import Extractor
from vidchatbench.api.features import Feature, Need, Refusal
from vidchatbench.api.samples import Sample

Content = Mapping[str, object]
"""What an extractor reads of a sample: JSON values only, for it is hashed into the feature's key."""


@dataclass(frozen=True)
class SampleNotes:
    """What is known of a sample's reply besides its clip.

    Attributes:
        declared_transcript: What the system says that it said (``<id>.json``), if anything.
        given_transcript: What the user says that is heard in the clip (``--transcripts``), if anything.
        latency_s: Seconds that the system says it took, if it does.
    """

    declared_transcript: str | None = None
    given_transcript: str | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class SampleInput:
    """One sample as an extractor of samples gets it.

    Attributes:
        name: The sample's id, for messages.
        content: What :meth:`SampleExtractor.content` returned for it.
        features: One feature per name in :meth:`SampleExtractor.reads`.
    """

    name: str
    content: Content
    features: Mapping[str, Feature] = field(default_factory=dict)


class SampleExtractor(Extractor):
    """An extractor that reads samples, and features of their clips.

    Class attributes:
        lacking: What is said of a sample for which :meth:`content` returns ``None``.
    """

    lacking: ClassVar[str] = "the sample lacks what this metric reads"

    def reads(self) -> tuple[Need, ...]:
        """Features of the sample's clips that :meth:`extract` wants; none by default."""
        return ()

    def reads_of(self, sample: Sample) -> tuple[Need, ...]:
        """Which of :meth:`reads` it wants of one sample; all by default."""
        del sample
        return self.reads()

    @property
    def judge_name(self) -> str | None:
        """Public name of the judge that :meth:`extract` asks; none by default.

        The engine hands the judge over in :meth:`setup`, as ``context.judge``, and adds its identity to the content of
        every sample, under ``judge``: another judge is another feature.
        """
        return None

    @abstractmethod
    def content(self, sample: Sample, notes: SampleNotes) -> Content | None:
        """Returns what is read of a sample, as JSON values; ``None`` if the sample lacks what is needed.

        A metric that needs the feature of such a sample is ``not_applicable`` there.
        """

    @abstractmethod
    def extract(self, inputs: Sequence[SampleInput]) -> Iterator[tuple[int, Feature | Refusal]]:
        """Yields the position of each input with its feature, in whatever order they come.

        What has been yielded is stored at once, so that a run that is killed does not pay for it again.
        """
