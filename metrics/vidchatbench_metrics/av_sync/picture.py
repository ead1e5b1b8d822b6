"""``av_sync/syncnet_picture``: SyncNet's visual embeddings of every face in a clip."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api import (
    ClipInfo,
    ExtractorContext,
    ExtractorSpec,
    Feature,
    Frame,
    FrameExtractor,
    FrameSession,
    Timeline,
    as_array,
)
from vidchatbench_metrics.av_sync.crops import RULES, CropRule, Run, Runs, crop_face, through_jpeg
from vidchatbench_metrics.av_sync.network import (
    DIMENSIONS,
    NETWORKS,
    PICTURE_WINDOW,
    WINDOWS_AT_ONCE,
    PictureNetwork,
    load_network,
)
from vidchatbench_metrics.faces.timeline import faces_at, track_numbers

FPS = 25
"""Frames per second that SyncNet was trained on."""

Pixels = NDArray[np.uint8]


class SyncNetPicture(FrameExtractor):
    """Visual embedding of every window of 5 frames (0.2 s) of each face that is long enough in the picture.

    Parameters:
        crop: ``lossless`` or ``sgc``, see :data:`vidchatbench_metrics.av_sync.crops.RULES`.
        network: ``syncnet_v2``, or ``sha256:<64 hex>`` for any state dict of that network in the weights mirror.

    Feature, with one row per window, ordered by track and time; n consecutive frames of a track have n - 4 windows:
        embedding: float32 (n, 1024).
        track: int32 (n,), number of the track.
        frame: int32 (n,), index at 25 per second of the window's first frame.
        meta: ``frames`` read, ``tracks`` kept, ``seconds`` the picture lasts, ``primary``, the track with most
            frames of the responder's face, or ``None`` where none is kept.
    """

    id = "av_sync/syncnet_picture"
    version = 2
    defaults = {"crop": "lossless", "network": NETWORKS.default}
    packages = ("torch", "syncnet_python", "cv2")

    def __init__(self, **params: str | int | float | bool | None) -> None:
        super().__init__(**params)
        if self.params["crop"] not in RULES:
            raise ValueError(f"{self.id} has no crop {self.params['crop']!r}; use {' or '.join(RULES)}")

    @property
    def fps(self) -> float:
        """Frames per second."""
        return float(FPS)

    @property
    def weights(self) -> tuple[str, ...]:
        """The network."""
        return (NETWORKS.weight_of(str(self.params["network"])),)

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        """Face tracks."""
        return {"faces": ExtractorSpec.of("faces/mtcnn")}

    def setup(self, context: ExtractorContext) -> None:
        """Loads the network."""
        importlib.import_module("cv2")
        self._network = PictureNetwork(load_network(context.weights[self.weights[0]]), context.device)

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> _Session:
        """Starts a clip."""
        del clip
        return _Session(self._network, upstream["faces"], RULES[str(self.params["crop"])])


class _Session(FrameSession):
    def __init__(self, network: PictureNetwork, faces: Timeline, rule: CropRule) -> None:
        self._network = network
        self._faces = faces
        self._rule = rule
        self._runs = Runs(relink=rule.relink)
        self._frames = 0
        # Pictures wait here until the smoothed boxes of all runs in them are final: 7 of them, or as many as a gap
        # that may still be bridged.
        self._pictures: dict[int, Pixels] = {}
        self._crops: dict[int, list[Pixels]] = {}
        self._rows: dict[int, list[NDArray[np.float32]]] = {}
        self._kept: list[Run] = []

    def push(self, frame: Frame) -> None:
        self._frames += 1
        faces = faces_at(self._faces, frame.time)
        ended = self._runs.push(frame.index, faces)
        if faces or self._runs.live:
            self._pictures[frame.index] = frame.rgb()
        for run in (*self._runs.live, *ended):
            self._advance(run)
        needed = min((run.start + run.cropped for run in self._runs.live), default=frame.index + 1)
        for index in [index for index in self._pictures if index < needed]:
            del self._pictures[index]

    def _advance(self, run: Run) -> None:
        """Makes the crops that have become final, and embeds them where the run is long enough."""
        crops = self._crops.setdefault(run.number, [])
        if run.ended and len(run.tracklets) < self._rule.min_run:
            crops.clear()
            return
        for position in range(run.cropped, run.final()):
            crop = crop_face(self._pictures[run.start + position], *run.smoothed(position))
            crops.append(through_jpeg(crop) if self._rule.jpeg else crop)
            run.cropped += 1
        if run.ended and run.mean_side <= self._rule.min_side:
            self._rows.pop(run.number, None)
            crops.clear()
            return
        if len(run.tracklets) >= self._rule.min_run:
            self._embed(run, crops)
        if run.ended:
            self._kept.append(run)

    def _embed(self, run: Run, crops: list[Pixels]) -> None:
        whole = WINDOWS_AT_ONCE + PICTURE_WINDOW - 1
        rows = self._rows.setdefault(run.number, [])
        while len(crops) >= (PICTURE_WINDOW if run.ended else whole):
            rows.append(self._network.embed(np.stack(crops[:whole])))
            del crops[:WINDOWS_AT_ONCE]

    def finish(self) -> Feature:
        for run in self._runs.finish():
            self._advance(run)
        numbers = track_numbers(self._faces)
        responder = self._faces.result().meta["primary"]
        tracks = _tracks(sorted(self._kept, key=lambda run: run.number), self._rule, numbers)
        rows = [(number, run) for number, runs in enumerate(tracks) for run in runs]
        embeddings = [np.concatenate(self._rows[run.number]) for _, run in rows]
        starts = [run.start + np.arange(len(windows)) for (_, run), windows in zip(rows, embeddings, strict=True)]
        tracks_of = [np.full(len(windows), number) for (number, _), windows in zip(rows, embeddings, strict=True)]
        arrays = {
            "embedding": as_array(np.concatenate([np.zeros((0, DIMENSIONS)), *embeddings]), "float32"),
            "track": as_array(np.concatenate([np.zeros(0), *tracks_of]), "int32"),
            "frame": as_array(np.concatenate([np.zeros(0), *starts]), "int32"),
        }
        shown = [sum(numbers[t] == responder for run in runs for t in run.tracklets) for runs in tracks]
        primary = int(np.argmax(shown)) if any(shown) else None
        meta = {"frames": self._frames, "tracks": len(tracks), "seconds": self._frames / FPS, "primary": primary}
        return Feature(arrays, meta)


def _tracks(runs: list[Run], rule: CropRule, numbers: Mapping[int, int]) -> list[list[Run]]:
    """Returns the runs of each track that is long enough, in order of appearance."""
    grouped: dict[int, list[Run]] = {}
    for run in runs:
        # A run that was linked anew may hold several people.
        grouped.setdefault(run.number if rule.relink else numbers[run.tracklets[0]], []).append(run)
    return [group for group in grouped.values() if sum(len(run.tracklets) for run in group) >= rule.min_frames]
