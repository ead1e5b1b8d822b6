"""Whisper by faster-whisper, from files that are already here: nothing is ever downloaded on the side."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidchatbench_metrics.dialogue.transcription.transcript import Passage, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEAM = 5


class Whisper:
    """A Whisper model; greedy in nothing, random in nothing.

    Beam search of width 5 at temperature 0 without fallback to others, each window of 30 s on its own
    (``condition_on_previous_text`` off), no voice detection, float32, one thread. No passage is thrown away here.

    Args:
        files: The model's files under the names that faster-whisper expects.
        device: Torch device string.
        language: The language spoken, ``None`` to have it recognised from the first 30 s.

    Raises:
        ImportError: If faster-whisper is not installed.
    """

    def __init__(self, files: Mapping[str, Path], device: str, language: str | None) -> None:
        package: Any = importlib.import_module("faster_whisper")  # an extra, and only extractors that run need it
        kind, _, index = device.partition(":")
        self._language = language
        self._folder = Path(tempfile.mkdtemp(prefix="vidchatbench-whisper-"))
        try:
            for name, file in files.items():
                place(file, self._folder / name)
            self._model: Any = package.WhisperModel(
                str(self._folder),
                device=kind,
                device_index=int(index or 0),
                compute_type="float32",
                cpu_threads=1,
                num_workers=1,
                local_files_only=True,
            )
        finally:
            # CTranslate2 has read all it needs.
            shutil.rmtree(self._folder, ignore_errors=True)

    def __call__(self, samples: NDArray[np.float32]) -> tuple[list[Passage], str, float]:
        """Returns what is said, the language, and how probable that language is.

        Args:
            samples: float32 of shape (n,), mono at 16 kHz, in -1..1.
        """
        segments, info = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=BEAM,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
            # Nothing is dropped or tried again in there: what is dropped is our protocol's to say.
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
        )
        return [_passage(segment) for segment in segments], str(info.language), float(info.language_probability)


def place(source: Path, target: Path) -> None:
    """Puts a file under another name: a symbolic link, a hard link, or where neither can be made a copy."""
    for link in (target.symlink_to, target.hardlink_to):
        try:
            link(source.resolve())
        except (OSError, NotImplementedError):
            continue  # not every file system has such links, and not every user may make them
        return
    shutil.copyfile(source, target)


def _passage(segment: Any) -> Passage:  # noqa: ANN401 - the package is optional, its types are not known here
    return Passage(
        text=segment.text,
        duration=max(0.0, segment.end - segment.start),
        no_speech=float(segment.no_speech_prob),
        logprob=float(segment.avg_logprob),
        compression=float(segment.compression_ratio),
        words=tuple(
            Word(word.word, float(word.start), float(word.end), float(word.probability)) for word in segment.words or ()
        ),
    )
