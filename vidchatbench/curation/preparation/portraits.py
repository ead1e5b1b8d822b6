"""Reference images: the first frame of the real reply in which a face is found, as an image that systems are given.

The rule is the one that metrics apply where a sample names no image: frames on a grid of five a second, the detector of
the installed metrics.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from vidchatbench.api.features import ExtractorSpec
from vidchatbench.core.atomic import write_atomically
from vidchatbench.core.hashing import hash_file
from vidchatbench.core.isolation import Failure
from vidchatbench.curation.preparation.ledger import Ledger
from vidchatbench.engine.extraction.jobs import ClipSource, Task, group_into_jobs
from vidchatbench.engine.extraction.worker import Worker, WorkerSettings
from vidchatbench.engine.features.keys import describe_extractor, feature_key
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.errors import UnavailableError, UsageError
from vidchatbench.media.frames import GridFrame
from vidchatbench.media.memory import MemoryClip
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench.plugins.catalogue import load_catalogue

IMAGES_FOLDER = "images"
DETECTOR = "faces/mtcnn"
KEY_FPS = 5


def image_is_whole(root: Path, clip: str, ledger: Ledger) -> bool:
    """Whether the reference image of a reply's clip exists, is undamaged and was taken from the current clip."""
    known, cut = ledger.get("image", clip), ledger.get("clip", clip)
    path = root / IMAGES_FOLDER / f"{clip}.png"
    if known is None or known.state != "done" or cut is None or not path.is_file():
        return False
    same = known.facts.get("clip_sha256") == cut.facts.get("sha256")
    return same and known.facts.get("image_sha256") == hash_file(path)


class PortraitFinder:
    """Finds reference images; the detector is loaded once.

    Raises:
        UnavailableError: If no installed package brings the detector.
    """

    def __init__(self) -> None:
        catalogue = load_catalogue()
        self._spec = ExtractorSpec.of(DETECTOR)
        try:
            self._description = describe_extractor(catalogue.extractor(self._spec), catalogue)
        except UsageError as error:
            raise UnavailableError(f"there is no face detector: {error}", "pip install vidchatbench") from error
        self._store = MemoryStore(most=1)
        self._worker = Worker(WorkerSettings(Path(), "cpu", 1), self._store)

    def find(self, clip: Path) -> GridFrame | None:
        """Returns the first frame with a face, ``None`` if there is none.

        Raises:
            MediaError: If the clip cannot be read.
            UnavailableError: If the detector cannot be loaded.
        """
        frames = grid_frames(ClipReader(clip, probe(clip), video=True, audio=False), KEY_FPS)
        return next((frame for frame in frames if self._shows_face(frame)), None)

    def write(self, clip: Path, image: Path) -> float | None:
        """Writes the reference image of a clip as PNG; returns the frame's time in seconds, ``None`` without a face."""
        frame = self.find(clip)
        if frame is None:
            return None
        buffer = io.BytesIO()
        Image.fromarray(frame.rgb()).save(buffer, "PNG")
        image.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(image, buffer.getvalue())
        return frame.time

    def _shows_face(self, frame: GridFrame) -> bool:
        clip = MemoryClip.of(frame.rgb()[None], fps=KEY_FPS)
        info = clip.describe()
        key = feature_key(self._description, (info.sha256,))
        task = Task(key, self._spec, (info.sha256,), {}, stored=False, sound=False)
        for job in group_into_jobs([task], {info.sha256: ClipSource("frame", info, clip)}):
            result = self._worker.run(job)
            failure = result.failures.get(key)
            if isinstance(failure, Failure):
                raise UnavailableError(f"the face detector failed: {failure.reason}", "vidchatbench doctor")
        feature = self._store.load(key)
        return feature is not None and len(feature["score"]) > 0
