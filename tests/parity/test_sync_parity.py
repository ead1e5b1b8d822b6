"""SyncNet in memory against SyncNet through files: the same pictures, sound and seeded weights into both.

The reference is syncnet-python 0.2.3 (joonson/syncnet_python @ 6efbb1c): its network, its ``calc_pdist`` and its
``evaluate``, which reads pictures and sound from a folder. The crops that it is given are made here as
``run_pipeline.crop_video`` makes them, with scipy and OpenCV. Distances agree to 1e-4, which is a thousandth of what
another build of FFmpeg changes; embeddings to 1e-5 of the largest value, the rounding of float32 through ten layers.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from vidchatbench.api import SAMPLE_RATE, Audio, ClipInfo, ExtractorContext, Feature, Sample, Side
from vidchatbench_metrics.av_sync.crops import JPEG_TABLE, crop_face, through_jpeg
from vidchatbench_metrics.av_sync.distances import shifted_distances, summarise
from vidchatbench_metrics.av_sync.lse import Confidence, ConfidenceSgc, Distance, Offset
from vidchatbench_metrics.av_sync.minimal_filter import MinimalFilter
from vidchatbench_metrics.av_sync.network import PictureNetwork, SoundNetwork, load_network
from vidchatbench_metrics.av_sync.picture import SyncNetPicture
from vidchatbench_metrics.av_sync.sound import SyncNetSound, cepstra, to_int16
from vidchatbench_metrics.faces.timeline import FaceTimeline

torch = pytest.importorskip("torch")
cv2 = pytest.importorskip("cv2")
signal = pytest.importorskip("scipy.signal")
features = pytest.importorskip("python_speech_features")

from seeded_weights import syncnet_state  # noqa: E402

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SIDE, responder=SIDE)
DISTANCES = 1e-4
EMBEDDINGS = 1e-5

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@dataclass(frozen=True)
class Picture:
    """A frame as the engine would push it."""

    index: int
    pixels: np.ndarray

    @property
    def time(self) -> float:
        return self.index / 25

    def rgb(self) -> np.ndarray:
        return self.pixels

    def cover(self, height: int, width: int) -> np.ndarray:
        raise NotImplementedError

    def window(self, box: tuple[float, float, float, float], height: int, width: int) -> np.ndarray:
        raise NotImplementedError

    def fit(self, longest: int) -> tuple[np.ndarray, float]:
        raise NotImplementedError


@dataclass(frozen=True)
class Clip:
    frames: list[np.ndarray]
    faces: FaceTimeline
    samples: np.ndarray


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reference() -> types.ModuleType:
    """``SyncNetInstance.py`` of the package, without the package's other imports."""
    package = importlib.util.find_spec("syncnet_python")
    if package is None or package.origin is None:
        pytest.skip("needs: pip install syncnet-python")
    file = Path(package.origin).with_name("SyncNetInstance.py")
    spec = importlib.util.spec_from_file_location("reference_syncnet_instance", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A state dict in the format of ``syncnet_v2.model``, with statistics of normalisation that are not trivial."""
    path = tmp_path_factory.mktemp("weights") / "syncnet_seeded.model"
    torch.save(syncnet_state(), path)
    return path


@pytest.fixture(scope="module")
def network(weights):
    return load_network(weights)


def context(weights: Path, batch_size: int = 16) -> ExtractorContext:
    return ExtractorContext("cpu", batch_size, {"syncnet_v2": weights})


def watch(clip: Clip, weights: Path, crop: str = "lossless", batch_size: int = 16) -> Feature:
    extractor = SyncNetPicture(crop=crop)
    extractor.setup(context(weights, batch_size))
    height, width = clip.frames[0].shape[:2]
    session = extractor.begin(ClipInfo(width, height, len(clip.frames) / 25), {"faces": clip.faces})
    for index, pixels in enumerate(clip.frames):
        session.push(Picture(index, pixels))
        assert len(session._pictures) <= (8 if crop == "lossless" else 34)
    return session.finish()


def listen(clip: Clip, weights: Path, batch_size: int = 16) -> Feature:
    extractor = SyncNetSound()
    extractor.setup(context(weights, batch_size))
    return extractor.extract(Audio(clip.samples), {})


def hum(seconds: float, seed: int = 0) -> np.ndarray:
    """Sound that changes every 50 ms, so that no two windows are alike."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(seconds * 20)):
        time = np.arange(800) / SAMPLE_RATE
        pieces.append(rng.uniform(0, 0.4) * np.sin(2 * np.pi * rng.uniform(80, 3000) * time) + rng.normal(0, 0.02, 800))
    return (np.round(np.clip(np.concatenate(pieces), -1, 0.99) * 32768) / 32768).astype(np.float32)


def scene(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures of moving waves, other ones in each frame."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    found = []
    for index in range(count):
        waves = [np.sin(rows / rng.uniform(5, 30) + columns / rng.uniform(5, 30) + index) for _ in range(3)]
        found.append(
            (127 + 80 * np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)
        )
    return found


def timeline(*tracks: Mapping[int, Sequence[float] | np.ndarray]) -> FaceTimeline:
    """Tracks as box by key frame, 5 of which make a second."""
    faces = FaceTimeline(5)
    for key in range(max(max(track) for track in tracks) + 1):
        boxes = np.array([track[key] for track in tracks if key in track], np.float64).reshape(-1, 4)
        faces.add_key(boxes, np.zeros((len(boxes), 5, 2)), np.ones(len(boxes)))
    faces.close()
    return faces


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A face that comes near the lower left corner, grows and jitters, for 38 frames."""
    rng = np.random.default_rng(3)
    boxes = {
        k: np.array([10 - 3 * k, 50 + 4 * k, 64.3 + 2 * k, 112.7 + 7 * k]) + rng.normal(0, 1.5, 4) for k in range(8)
    }
    return Clip(scene(38, 160, 180), timeline(boxes), hum(1.6))


def boxes_of(clip: Clip, track: int = 0) -> tuple[int, list[np.ndarray]]:
    """The first frame of a track and its box in each frame."""
    found = [(i, face.box) for i in range(len(clip.frames)) for face in clip.faces.at(i / 25) if face.tracklet == track]
    return found[0][0], [box for _, box in found]


def reference_crops(frames: list[np.ndarray], boxes: list[np.ndarray]) -> list[np.ndarray]:
    """The crops of ``run_pipeline.crop_video``, BGR, of frames in RGB."""
    s = signal.medfilt([max(b[3] - b[1], b[2] - b[0]) / 2 for b in boxes], kernel_size=13)
    y = signal.medfilt([(b[1] + b[3]) / 2 for b in boxes], kernel_size=13)
    x = signal.medfilt([(b[0] + b[2]) / 2 for b in boxes], kernel_size=13)
    crops = []
    for i, frame in enumerate(frames):
        pad = int(s[i] * 1.8)
        wide = np.pad(frame[..., ::-1], ((pad, pad), (pad, pad), (0, 0)), "constant", constant_values=110)
        my, mx = y[i] + pad, x[i] + pad
        face = wide[int(my - s[i]) : int(my + s[i] * 1.8), int(mx - s[i] * 1.4) : int(mx + s[i] * 1.4)]
        crops.append(cv2.resize(face, (224, 224)))
    return crops


def evaluate(module, network, folder: Path, crops, samples) -> tuple[int, float, float, np.ndarray]:
    """Runs the package's own ``evaluate``: offset, confidence, distance, and the mean distance of each shift."""
    from scipy.io import wavfile

    for number, crop in enumerate(crops):
        # OpenCV reads a picture by its content, so that a lossless one can have the name that is looked for.
        (folder / f"{number:06d}.jpg").write_bytes(cv2.imencode(".png", crop)[1].tobytes())
    wavfile.write(folder / "audio.wav", SAMPLE_RATE, np.round(samples * 32768).astype(np.int16))
    kept = []
    original = module.calc_pdist
    module.calc_pdist = lambda *args, **kwargs: kept.append(original(*args, **kwargs)) or kept[-1]
    try:
        instance = module.SyncNetInstance(network, device="cpu")
        with np.printoptions():  # it changes them for good
            found = instance.evaluate(types.SimpleNamespace(tmp_dir=str(folder), batch_size=20, vshift=15))
    finally:
        module.calc_pdist = original
    return (*found, torch.stack(kept[0], 1).mean(1).numpy())


def assert_same(shown: Feature, heard: Feature, expected, track: int = 0, first: int = 0) -> None:
    offset, confidence, distance, means = expected
    both = {"picture": shown, "sound": heard}
    rows = shown["embedding"][shown["track"] == track]
    count = min(len(rows) + 4, int(heard.number("samples")) // 640 - first) - 5
    found = shifted_distances(rows[:count], heard["embedding"][first : first + count]).mean(axis=0)
    np.testing.assert_allclose(found, means, rtol=0, atol=DISTANCES)
    score = Offset().score(SAMPLE, both)
    assert (score.details["offset"], score.value) == (offset, abs(offset))
    assert Confidence().score(SAMPLE, both).value == pytest.approx(confidence, abs=DISTANCES)
    assert Distance().score(SAMPLE, both).value == pytest.approx(distance, abs=DISTANCES)


class TestWholeWay:
    def test_synthetic_clip(self, clip, weights, network, reference, tmp_path):
        first, boxes = boxes_of(clip)
        assert (first, len(boxes)) == (0, 38)
        expected = evaluate(reference, network, tmp_path, reference_crops(clip.frames, boxes), clip.samples[: 38 * 640])
        assert np.ptp(expected[3]) > 100 * DISTANCES, "the distances must differ for their order to prove anything"
        assert_same(watch(clip, weights), listen(clip, weights), expected)

    @pytest.mark.shared
    def test_the_packages_example(self, weights, network, reference, tmp_path):
        clip = example(seconds=2.4)
        first, boxes = boxes_of(clip)
        assert (first, len(boxes)) == (10, 50)
        sound = clip.samples[first * 640 : 60 * 640]
        expected = evaluate(reference, network, tmp_path, reference_crops(clip.frames[first:], boxes), sound)
        assert_same(watch(clip, weights), listen(clip, weights), expected, first=first)


def example(seconds: float) -> Clip:
    """The beginning of the example of syncnet_python; the face is dark and turned away, so its track is given."""
    from scipy.io import wavfile

    movie, wave = SHARED / "fixtures/syncnet_example.avi", SHARED / "fixtures/syncnet_example.wav"
    if not (movie.is_file() and wave.is_file()):
        pytest.skip("the shared clip is not beside the checkout")
    with av.open(str(movie)) as container:
        shown = zip(container.decode(video=0), range(round(seconds * 25)), strict=False)
        frames = [frame.to_ndarray(format="rgb24") for frame, _ in shown]
    rate, numbers = wavfile.read(wave)
    assert (rate, numbers.dtype) == (SAMPLE_RATE, np.int16)
    corners = np.array([(474, 177, 671, 436), (393, 147, 573, 375), (414, 140, 607, 388)], np.float64)
    boxes = {k: tuple(np.interp(5 * k, (0, 40, 60), corners[:, side]) for side in range(4)) for k in range(2, 13)}
    return Clip(frames, timeline(boxes), (numbers / 32768).astype(np.float32))


class TestParts:
    @pytest.mark.parametrize("samples", [1, 399, 400, 401, 560, 561, 3440, 16000, 16007])
    def test_cepstra_equal_the_package(self, samples):
        for sound in (hum(1.05)[:samples], np.zeros(samples, np.float32), np.ones(samples, np.float32)):
            expected = features.mfcc(np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16), SAMPLE_RATE)
            np.testing.assert_allclose(cepstra(sound), expected, rtol=1e-6, atol=1e-6)

    def test_cepstra_of_a_long_clip_equal_the_package(self):
        sound = np.tile(hum(1.05), 33)
        np.testing.assert_allclose(cepstra(sound), features.mfcc(to_int16(sound), SAMPLE_RATE), rtol=1e-6, atol=1e-5)

    def test_every_16_bit_number_survives(self):
        numbers = np.arange(-32768, 32768).astype(np.int16)
        np.testing.assert_array_equal(to_int16((numbers / 32768).astype(np.float32)), numbers)
        assert to_int16(np.array([-1.5, 1.0, 1.5], np.float32)).tolist() == [-32768, 32767, 32767]

    def test_picture_embeddings_equal_the_backends(self, network):
        frames = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), np.uint8)
        series = torch.from_numpy(frames).float().permute(3, 0, 1, 2)[None]
        with torch.inference_mode():
            expected = network.forward_lip(torch.cat([series[:, :, v : v + 5] for v in range(4)])).numpy()
        ours = PictureNetwork(network, "cpu")
        assert np.abs(ours.embed(frames) - expected).max() < EMBEDDINGS * np.abs(expected).max()
        assert np.abs(ours.embed(frames[:5]) - expected[:1]).max() < EMBEDDINGS * np.abs(expected).max()

    def test_sound_embeddings_equal_the_backends(self, network):
        windows = cepstra(hum(1.2)).T[None, None, :, :]
        starts = range(0, 100, 4)
        batch = np.concatenate([windows[..., v : v + 20] for v in starts]).astype(np.float32)
        with torch.inference_mode():
            expected = network.forward_aud(torch.from_numpy(batch)).numpy()
        found = SoundNetwork(network, "cpu").embed(batch[:, 0])
        assert np.abs(found - expected).max() < EMBEDDINGS * np.abs(expected).max()

    @pytest.mark.parametrize("count", [1, 7, 40])
    def test_distances_equal_the_package(self, reference, count):
        rng = np.random.default_rng(count)
        seen, heard = (rng.normal(0, 0.3, (count, 1024)).astype(np.float32) for _ in range(2))
        expected = torch.stack(reference.calc_pdist(torch.from_numpy(seen), torch.from_numpy(heard), vshift=15)).numpy()
        found = shifted_distances(seen, heard)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        means = torch.from_numpy(expected).mean(0)
        lse = summarise(found)
        assert lse.offset == 15 - int(means.argmin())
        assert lse.confidence == pytest.approx(float(means.median() - means.min()), abs=1e-5)

    def test_the_minimal_filter_is_a_filter(self):
        rng = np.random.default_rng(0)
        scheme = MinimalFilter.of(4, 5, (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5))
        series, taps = rng.normal(size=8), rng.normal(size=5)
        found = scheme.combine @ ((scheme.taps @ taps) * (scheme.inputs @ series))
        np.testing.assert_allclose(found, np.correlate(series, taps, "valid"), atol=1e-12)
        with pytest.raises(ValueError, match="7 different points"):
            MinimalFilter.of(4, 5, (0.0, 1.0))


class TestCrops:
    def test_equal_the_pipelines_inside_and_across_every_border(self):
        picture = scene(1, 150, 170)[0]
        for x, y in ((85.3, 60.7), (20.1, 30.2), (160.9, 20.0), (12.5, 140.6), (165.2, 145.9)):
            for half in (18.4, 40.0, 77.7):
                box = np.array([x - half, y - half, x + half, y + half])
                expected = reference_crops([picture] * 13, [box] * 13)[6]
                np.testing.assert_array_equal(
                    crop_face(picture, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, half), expected
                )

    def test_blue_comes_first(self):
        picture = np.zeros((200, 200, 3), np.uint8)
        picture[..., 0] = 200
        assert crop_face(picture, 100, 90, 40)[112, 112].tolist() == [0, 0, 200]

    def test_the_jpeg_has_ffmpegs_table(self, tmp_path):
        picture = scene(1, 224, 224)[0]
        changed = np.abs(through_jpeg(picture).astype(int) - picture).mean()
        assert 0.5 < changed < 12
        if shutil.which("ffmpeg") is None:
            pytest.skip("ffmpeg is not installed")
        source, made = tmp_path / "in.png", tmp_path / "out.jpg"
        Image.fromarray(picture[..., ::-1].copy()).save(source)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", source, "-pix_fmt", "yuvj420p", "-qscale:v", "2", made], check=True
        )
        with Image.open(made) as image:
            assert isinstance(image, JpegImageFile)
            assert tuple(image.quantization[0]) == JPEG_TABLE
            theirs = np.asarray(image.convert("RGB"))[..., ::-1]
        # The two round coefficients and average the colours of neighbours in different ways.
        assert np.abs(through_jpeg(picture).astype(int) - theirs).mean() < 0.5 * changed


class TestPipelineCrop:
    @pytest.fixture(scope="class")
    def two_faces(self) -> Clip:
        """A large face that is lost for 14 frames, and a small one."""
        large = {k: (60.0 + k, 40.0, 190.0 + k, 180.0) for k in range(14) if k not in {6, 7}}
        small = dict.fromkeys(range(14), (210.0, 20.0, 260.0, 70.0))
        return Clip(scene(66, 200, 280), timeline(large, small), hum(2.7))

    def test_lost_faces_are_linked_and_small_ones_left_out(self, two_faces, weights, network, reference, tmp_path):
        shown = watch(two_faces, weights, "sgc")
        assert (shown.meta["tracks"], shown.meta["primary"]) == (1, 0)
        seen = [[(i, face.box) for face in two_faces.faces.at(i / 25) if face.box[2] < 209] for i in range(66)]
        indices, found = zip(*[pair for frame in seen for pair in frame], strict=True)
        assert len(indices) == 52
        corners = np.array(found)
        boxes = [np.array([np.interp(i, indices, corners[:, side]) for side in range(4)]) for i in range(66)]
        crops = [through_jpeg(crop) for crop in reference_crops(two_faces.frames, boxes)]
        expected = evaluate(reference, network, tmp_path, crops, two_faces.samples[: 66 * 640])
        both = {"picture": shown, "sound": listen(two_faces, weights)}
        score = ConfidenceSgc().score(SAMPLE, both)
        assert score.value == pytest.approx(expected[1], abs=DISTANCES)
        assert score.details["distance"] == pytest.approx(expected[2], abs=DISTANCES)
        assert score.details["offset"] == expected[0]

    def test_the_same_clip_without_files_keeps_the_tracks_of_the_detector(self, two_faces, weights):
        shown = watch(two_faces, weights)
        assert (shown.meta["tracks"], shown.meta["primary"]) == (2, 0), "the large face, before and after the gap"
        large, small = (shown["frame"][shown["track"] == number].tolist() for number in range(2))
        assert large == [*range(22), *range(40, 62)], "no window lies across the gap"
        assert small == list(range(62))


class TestAlwaysTheSame:
    def test_batch_size_repetition_and_other_faces_do_not_change_a_bit(self, clip, weights):
        plain = watch(clip, weights)
        again = watch(clip, weights, batch_size=1)
        keys = {k: (*clip.faces.tracklets[0].boxes[k],) for k in range(8)}
        beside = Clip(clip.frames, timeline(keys, dict.fromkeys(range(8), (120.0, 5.0, 170.0, 55.0))), clip.samples)
        both = watch(beside, weights)
        assert both.meta["tracks"] == 2
        np.testing.assert_array_equal(plain["embedding"], again["embedding"])
        np.testing.assert_array_equal(plain["embedding"], both["embedding"][both["track"] == 0])
        assert plain.meta == again.meta
        one, many = listen(clip, weights, batch_size=1), listen(clip, weights, batch_size=64)
        np.testing.assert_array_equal(one["embedding"], many["embedding"])

    def test_delayed_sound_lowers_the_offset(self, clip, weights):
        """With the network's own features: 5 frames of silence first move every row of the sound by 5."""
        plain = listen(clip, weights)["embedding"]
        late = listen(Clip([], clip.faces, np.append(np.zeros(5 * 640, np.float32), clip.samples)), weights)[
            "embedding"
        ]
        np.testing.assert_allclose(late[6 : 6 + 20], plain[1:21], atol=1e-5)
        shown = Feature(
            {
                "embedding": plain,
                "track": np.zeros(len(plain), np.int32),
                "frame": np.arange(len(plain), dtype=np.int32),
            },
            {"frames": len(plain) + 4, "tracks": 1, "seconds": 1.6, "primary": 0},
        )
        found = Offset().score(SAMPLE, {"picture": shown, "sound": Feature({"embedding": late}, {"samples": 45 * 640})})
        assert found.details["offset"] == -5

    @pytest.mark.parametrize("samples", [0, 1, 3000, 3440, 16000])
    def test_any_sound_has_finite_features(self, weights, samples):
        found = listen(Clip([], FaceTimeline(5), np.zeros(samples, np.float32)), weights)
        assert np.isfinite(found["embedding"]).all()
        assert found["embedding"].shape == (max(0, (1 + max(0, -(-(samples - 400) // 160)) - 20) // 4 + 1), 1024)

    def test_no_face_and_brief_faces_give_no_row(self, weights):
        frames = scene(30, 100, 120)
        brief = timeline(dict.fromkeys((0, 1, 2), (20.0, 20.0, 60.0, 60.0)), {5: (80.0, 5.0, 110.0, 40.0)})
        empty = FaceTimeline(5)
        empty.close()
        for faces in (brief, empty):
            found = watch(Clip(frames, faces, np.zeros(0, np.float32)), weights)
            assert (found["embedding"].shape, found.meta["primary"], found.meta["tracks"]) == ((0, 1024), None, 0)

    def test_weights_of_another_network_are_refused(self, tmp_path):
        torch.save({"netcnnaud.0.weight": torch.zeros(64, 1, 3, 3)}, tmp_path / "other.model")
        with pytest.raises(ValueError, match="not of this network"):
            load_network(tmp_path / "other.model")
