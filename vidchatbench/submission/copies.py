"""Whether a reply is the real one, told by the pictures: also re-encoded, a little faster, mirrored or cropped.

A system does not know how the responder will move. Two pictures a second of the reply are set beside those of the real
reply at the same moments, each as 32 x 32 luma without its mean and of length one. A copy is much nearer to the real
reply at its own moment than the real reply is to itself at any other moment; the same person at another moment is not.
The middle of the real reply's pictures is compared as well, less 1 to 10 % of each side. What is cropped off centre or
delayed is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.format import Benchmark
from vidchatbench.core.progress import Progress, SilentProgress
from vidchatbench.errors import MediaError
from vidchatbench.media.probe import probe
from vidchatbench.media.reader import ClipReader, grid_frames
from vidchatbench.submission.check import CheckedSubmission, Problem, Severity

SIDE = 32
PER_SECOND = 2
MAX_SHARE = 0.75
"""A copy's distance is under this share of what lies between two moments of the real reply.

Measured on eight real clips of 256 x 256: encoded anew at crf 32 at most 0.50, mirrored 0.33, 1 % faster 0.42; the
given picture held still at least 1.17, the same person at another moment 1.64. At crf 45 or 0.2 s late some escape.
"""

CROPS = tuple(step / 100 for step in range(1, 11))
"""Shares of a side that a copy may lack; half a step beside the true one, a quiet head reaches 0.6."""

MIN_PICTURES = 3

Looks = NDArray[np.float64]


def find_copies(checked: CheckedSubmission, benchmark: Benchmark, progress: Progress | None = None) -> list[Problem]:
    """Returns a warning for every output that is the real reply.

    Args:
        checked: The submission after the pre-flight check.
        benchmark: The benchmark, with its media.
        progress: Receives progress; nothing does by default.
    """
    progress = progress or SilentProgress()
    progress.begin("looking for copies", len(benchmark), "clips")
    problems = []
    for number, sample in enumerate(benchmark, start=1):
        problem = _look_at(checked, sample, benchmark)
        problems += [] if problem is None else [problem]
        progress.advance(number)
    progress.end()
    return problems


def _look_at(checked: CheckedSubmission, sample: Sample, benchmark: Benchmark) -> Problem | None:
    output = checked.outputs[sample.id]
    if sample.responder is None or output.path is None or output.info is None:
        return None
    try:
        reference, *cropped = every_look_of(benchmark.media(sample.responder.media))
        kind = copy_of(looks_of(output.path), reference, cropped)
    except MediaError:
        return None  # the check and the run say what is wrong with it
    if kind is None:
        return None
    message = f"it looks like the real reply{'' if kind == 'copy' else f', {kind}'}: its pictures are the same"
    return Problem(Severity.WARNING, "copy_of_reference", sample.id, output.path.name, message)


def copy_of(candidate: Looks, reference: Looks, cropped: Sequence[Looks] = ()) -> str | None:
    """Returns whether pictures are those of the real reply: ``"copy"``, ``"mirrored"``, ``"cropped"`` or ``None``.

    Args:
        candidate: What :func:`looks_of` gives for the reply.
        reference: What it gives for the real reply.
        cropped: What it gives for the middle of the real reply's pictures.
    """
    # The first picture was given to the system, and proves nothing.
    common = min(len(candidate), len(reference))
    moments = range(1, common)
    if len(moments) < MIN_PICTURES:
        return None
    real = reference[1:common]
    apart = np.linalg.norm(real[:, None] - real[None, :], axis=2)
    own = median(float(np.delete(row, k).min()) for k, row in enumerate(apart))
    pairs = [("copy", candidate, reference), ("mirrored", _mirrored(candidate), reference)]
    pairs += [("cropped", candidate, middle) for middle in cropped]
    for kind, looks, wanted in pairs:
        if median(float(np.linalg.norm(looks[k] - wanted[k])) for k in moments) < MAX_SHARE * own:
            return kind
    return None


def looks_of(path: Path) -> Looks:
    """Returns two pictures a second as unit vectors, float64 of shape (pictures, 1024).

    Raises:
        MediaError: If the clip cannot be read.
    """
    return _looks_of(path, (0.0,))[0]


def every_look_of(path: Path) -> list[Looks]:
    """Returns what :func:`looks_of` gives for a clip, and then for the middle of its pictures, by :data:`CROPS`.

    Raises:
        MediaError: If the clip cannot be read.
    """
    return _looks_of(path, (0.0, *CROPS))


def _looks_of(path: Path, crops: Sequence[float]) -> list[Looks]:
    reader = ClipReader(path, probe(path), video=True, audio=False)
    frames = (Image.fromarray(frame.rgb()).convert("L") for frame in grid_frames(reader, PER_SECOND))
    looks = [[_look(frame, share) for share in crops] for frame in frames]
    return [np.array([own[k] for own in looks]).reshape(len(looks), SIDE * SIDE) for k in range(len(crops))]


def _look(picture: Image.Image, share: float) -> Looks:
    x, y = share * picture.width / 2, share * picture.height / 2
    box = (x, y, picture.width - x, picture.height - y)
    small = picture.resize((SIDE, SIDE), Image.Resampling.BOX, box)
    vector = np.asarray(small, np.float64).ravel()
    vector -= vector.mean()
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _mirrored(looks: Looks) -> Looks:
    turned: Looks = looks.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(-1, SIDE * SIDE)
    return turned
