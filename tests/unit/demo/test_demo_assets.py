"""The demonstration's benchmark: whole, repeatable, recognised as faces and speech, and graded as intended."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api.samples import Sample
from vidchatbench.benchmark.load import load_benchmark
from vidchatbench.demo import SYSTEMS, DemoPaths, build, build_demo
from vidchatbench.demo import files as paths
from vidchatbench.demo.build import GOOD, POOR
from vidchatbench.demo.face import Pose, TalkingFace
from vidchatbench.demo.motion import plan_poses
from vidchatbench.demo.portrait import first_person
from vidchatbench.demo.speech import plan_utterance
from vidchatbench.demo.systems import PICTURE_DELAY, SOUND_ADVANCE, poor_picture
from vidchatbench.demo.voice import HIGH_VOICE, synthesise
from vidchatbench.errors import UsageError
from vidchatbench.media.encode import write_clip
from vidchatbench.submission.check import check_submission

Pictures = NDArray[np.uint8]
Wave = NDArray[np.float32]

SAMPLE_IDS = ("demo-1", "demo-2", "demo-3", "demo-4")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    return build_demo(tmp_path_factory.mktemp("demo") / "made" / "here")


def read_pictures(path: Path) -> Pictures:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return np.stack(frames).astype(np.uint8, copy=False)


def read_sound(path: Path) -> Wave:
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)]).astype(np.float32)


def references(demo: DemoPaths) -> list[Path]:
    return sorted((demo.benchmark / "media").glob("*.mp4"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: on a busy computer its threads wait for one another, and such small work gets slower."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lag(reference: Wave, other: Wave) -> int:
    """Samples by which ``other`` comes later than ``reference``."""
    size = len(reference) + len(other)
    product = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(reference, size)), size)
    best = int(np.argmax(product))
    return best if best < size // 2 else best - size


def psnr(reference: Pictures, other: Pictures) -> float:
    errors = [
        float(np.mean((one.astype(float) - resized(two, one.shape[0])) ** 2))
        for one, two in zip(reference[::5], other[::5], strict=True)
    ]
    return float(np.mean([10 * np.log10(255**2 / error) if error else 100.0 for error in errors]))


def resized(pixels: Pictures, side: int) -> Pictures:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def sharpness(pictures: Pictures, side: int) -> float:
    """Mean absolute value of the discrete Laplacian of the grey pictures."""
    grey = np.stack([resized(one, side).astype(float).mean(axis=2) for one in pictures[::10]])
    inner = grey[:, 1:-1, 1:-1]
    sides = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float(np.abs(4 * inner - sides).mean())


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, vidchatbench.demo; sys.exit(' '.join({'torch', 'av', 'PIL'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_portrait_is_small_and_its_source_is_named() -> None:
    package = resources.files("vidchatbench.demo")
    assert len(package.joinpath("portrait.jpg").read_bytes()) <= 60_000
    assert "public domain" in package.joinpath("NOTICE.txt").read_text(encoding="utf-8")


def test_the_manifest_describes_four_answers_of_two_speakers(demo: DemoPaths) -> None:
    raw = (demo.benchmark / "manifest.jsonl").read_bytes()
    samples = [Sample.model_validate_json(line) for line in raw.splitlines()]
    about = json.loads((demo.benchmark / "benchmark.json").read_text(encoding="utf-8"))
    assert set(about) == {
        "schema_version",
        "name",
        "version",
        "description",
        "n_samples",
        "manifest_sha256",
        "license",
    }
    assert (about["name"], about["schema_version"], about["n_samples"]) == ("demo", 1, 4)
    assert about["manifest_sha256"] == hashlib.sha256(raw).hexdigest()
    assert tuple(sample.id for sample in samples) == SAMPLE_IDS
    sides = [(sample.initiator, sample.responder) for sample in samples]
    assert [b.speaker_id for _, b in sides if b] == ["spk-b", "spk-a", "spk-b", "spk-a"]
    for asked, answered in sides:
        assert answered is not None
        assert asked.speaker_id != answered.speaker_id
        for side in (asked, answered):
            content = (demo.benchmark / side.media).read_bytes()
            assert hashlib.sha256(content).hexdigest() == side.sha256
    assert len({answered.sha256 for _, answered in sides if answered}) == 4


def test_the_library_accepts_benchmark_and_submissions(demo: DemoPaths) -> None:
    benchmark = load_benchmark(demo.benchmark)
    assert len(benchmark.samples) == 4
    for folder in demo.systems.values():
        assert check_submission(folder, benchmark).problems == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_answers_every_sample(demo: DemoPaths, system: str) -> None:
    yaml = pytest.importorskip("yaml")
    folder = demo.systems[system]
    assert {path.name for path in folder.iterdir()} == {*(f"{name}.mp4" for name in SAMPLE_IDS), "system.yaml"}
    assert yaml.safe_load((folder / "system.yaml").read_text(encoding="utf-8"))["name"] == f"demo-{system}"


def test_clips_are_ordinary(demo: DemoPaths) -> None:
    for path in [*references(demo), *(folder / "demo-1.mp4" for folder in demo.systems.values())]:
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            first = next(container.decode(video))
            assert (video.frames, float(video.average_rate or 0), video.codec_context.name) == (100, 25.0, "h264")
            assert int(first.colorspace) == 1, "BT.709 is stated"
            assert (audio.sample_rate, audio.channels, audio.codec_context.name) == (16_000, 1, "aac")
            assert float((audio.duration or 0) * (audio.time_base or 0)) == pytest.approx(4.0, abs=0.07)


def test_oracle_copies_the_references(demo: DemoPaths) -> None:
    for number, name in enumerate(SAMPLE_IDS, start=1):
        reference = demo.benchmark / "media" / f"turn_{number}.mp4"
        assert (demo.systems["oracle"] / f"{name}.mp4").read_bytes() == reference.read_bytes()


def test_shifted_delays_the_picture_and_advances_the_sound(demo: DemoPaths) -> None:
    reference, shifted = demo.systems["oracle"] / "demo-2.mp4", demo.systems["shifted"] / "demo-2.mp4"
    delay = round(PICTURE_DELAY * 25)
    before, after = read_pictures(reference), read_pictures(shifted)
    assert psnr(before[:-delay], after[delay:]) > 38 > psnr(before, after) + 5
    assert lag(read_sound(reference), read_sound(shifted)) == pytest.approx(-SOUND_ADVANCE * 16_000, abs=16)


def test_systems_are_graded_in_picture_and_sharpness(demo: DemoPaths) -> None:
    for name in SAMPLE_IDS[:2]:
        clips = {system: read_pictures(folder / f"{name}.mp4") for system, folder in demo.systems.items()}
        oracle, shifted, degraded = (psnr(clips["oracle"], clips[system]) for system in SYSTEMS)
        assert oracle == 100
        assert oracle > shifted + 3 > degraded + 6
        assert sharpness(clips["degraded"], 448) < 0.6 * sharpness(clips["oracle"], 448)


def test_turns_are_the_same_in_every_run_and_differ_between_seeds() -> None:
    first, again, other = (build.make_turns(seed) for seed in (3, 3, 4))
    for _ in range(2):
        one, two = next(first), next(again)
        assert all(np.array_equal(a, b) for a, b in zip(one.frames, two.frames, strict=True))
        assert np.array_equal(one.wave, two.wave)
        assert np.array_equal(one.other_wave, two.other_wave)
    assert not np.array_equal(next(first).wave, next(other).wave)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    face = TalkingFace(first_person())
    frames = list(poor_picture([face.draw(Pose(opening=step % 10 / 9)) for step in range(40)], 1))
    wave = np.sin(np.arange(26_000) / 5).astype(np.float32)
    contents = set()
    for number in range(8):
        write_clip(tmp_path / f"{number}.mp4", frames, wave, POOR)
        contents.add((tmp_path / f"{number}.mp4").read_bytes())
    assert len(contents) == 1
    assert len(read_pictures(tmp_path / "0.mp4")) == 40


def test_a_clip_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_clip(tmp_path / "none.mp4", [], np.zeros(100, np.float32), GOOD)


def test_picture_and_sound_of_a_reference_agree(demo: DemoPaths) -> None:
    turn = next(build.make_turns(0))
    clip = references(demo)[0]
    assert abs(lag(turn.wave, read_sound(clip))) <= 2
    assert psnr(np.stack(turn.frames), read_pictures(clip)) > 35


@pytest.mark.parametrize("seed", range(4))
def test_the_mouth_follows_the_speech(seed: int) -> None:
    utterance = plan_utterance(seed, 4.0)
    wave = synthesise(utterance, HIGH_VOICE, seed)
    loudness = np.sqrt((wave.reshape(100, 640) ** 2).mean(axis=1))
    opening = [pose.opening for pose in plan_poses(utterance, seed)]
    best = [np.corrcoef(np.roll(loudness, shift), opening)[0, 1] for shift in range(-15, 16)]
    assert max(best) > 0.6
    assert abs(int(np.argmax(best)) - 15) <= 1


def test_the_mouth_opens_visibly() -> None:
    face = TalkingFace(first_person())
    closed, opened = (face.draw(Pose(opening=opening)).astype(float).mean(axis=2) for opening in (0.0, 1.0))
    change = np.abs(opened - closed)
    assert change[236:300, 190:260].mean() > 10
    assert change[:190].max() == 0


# By its default the detector also looks for faces of 20 pixels, which takes longer: there one frame in 20.
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("smallest", "step"), [pytest.param(60, 1, marks=pytest.mark.slow), (20, 20), (60, 5)])
def test_frames_show_exactly_one_sure_face(demo: DemoPaths, smallest: int, step: int) -> None:
    torch = pytest.importorskip("torch")
    mtcnn = pytest.importorskip("facenet_pytorch").MTCNN(keep_all=True, min_face_size=smallest)
    for clip in references(demo)[:2]:
        pictures = [Image.fromarray(pixels) for pixels in read_pictures(clip)[::step]]
        found: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(pictures), 20):
                found += list(mtcnn.detect(pictures[start : start + 20])[1])
        assert [len(one) for one in found] == [1] * len(pictures)
        assert min(float(one[0]) for one in found) > 0.95


@pytest.mark.usefixtures("one_thread")
def test_both_voice_detectors_hear_speech(demo: DemoPaths) -> None:
    torch = pytest.importorskip("torch")
    silero = pytest.importorskip("silero_vad")
    webrtc = pytest.importorskip("webrtcvad")
    model, strict = silero.load_silero_vad(), webrtc.Vad(3)
    clips = [*references(demo), *(folder / "demo-4.mp4" for folder in demo.systems.values())]
    for clip in clips:
        wave = np.clip(read_sound(clip), -1, 1)
        spans = silero.get_speech_timestamps(torch.from_numpy(wave), model)
        assert sum(span["end"] - span["start"] for span in spans) / 16_000 > 1.5, clip.name
        pcm = (wave * 32767).astype("<i2")
        blocks = [pcm[start : start + 480].tobytes() for start in range(0, len(pcm) - 479, 480)]
        assert 0.03 * sum(strict.is_speech(block, 16_000) for block in blocks) > 1.5, clip.name


@pytest.mark.usefixtures("one_thread")
def test_a_speaker_sounds_like_themselves(monkeypatch: pytest.MonkeyPatch, demo: DemoPaths) -> None:
    morphology = types.ModuleType("scipy.ndimage.morphology")
    # Resemblyzer imports a module that current scipy no longer has, for silence trimming that is not used here.
    morphology.binary_dilation = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    encoder = pytest.importorskip("resemblyzer").VoiceEncoder("cpu", verbose=False)
    voices = [encoder.embed_utterance(read_sound(clip)) for clip in references(demo)]
    pairs = [(i, j, float(voices[i] @ voices[j])) for i in range(5) for j in range(i)]
    same = [value for i, j, value in pairs if (i - j) % 2 == 0]
    different = [value for i, j, value in pairs if (i - j) % 2]
    assert min(same) > max(different) + 0.05
    poor = encoder.embed_utterance(read_sound(demo.systems["degraded"] / "demo-1.mp4"))
    shifted = encoder.embed_utterance(read_sound(demo.systems["shifted"] / "demo-1.mp4"))
    assert float(voices[1] @ shifted) > float(voices[1] @ poor) + 0.2


class TestFolder:
    """Reuse and repair, with a writer that only pretends, so that it takes no time."""

    @pytest.fixture(autouse=True)
    def _quick_writer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.builds = 0

        def write(root: Path, seed: int) -> None:
            self.builds += 1
            for part in paths.PARTS:
                (root / part).mkdir(parents=True)
                (root / part / "file.txt").write_text(f"{part} {seed}", encoding="utf-8")

        monkeypatch.setattr(build, "_write_all", write)

    def test_a_whole_folder_is_reused(self, tmp_path: Path) -> None:
        one, two = build_demo(tmp_path / "d"), build_demo(tmp_path / "d")
        assert one == two
        assert self.builds == 1
        assert {path.name for path in (tmp_path / "d").iterdir()} == {"benchmark", "systems", "demo.json"}

    @pytest.mark.parametrize("damage", ["changed", "lost", "marker cut off", "marker of another kind", "other seed"])
    def test_a_damaged_folder_is_rebuilt(self, tmp_path: Path, damage: str) -> None:
        demo = build_demo(tmp_path)
        victim = demo.systems["shifted"] / "file.txt"
        if damage == "changed":
            victim.write_text("spoilt", encoding="utf-8")
        elif damage == "lost":
            victim.unlink()
        elif damage == "marker cut off":
            demo.marker.write_text('{"recipe": 1, "fi', encoding="utf-8")
        elif damage == "marker of another kind":
            demo.marker.write_text("[1, 2]", encoding="utf-8")
        build_demo(tmp_path, seed=7 if damage == "other seed" else 0)
        assert self.builds == 2
        assert victim.read_text(encoding="utf-8") == f"systems/shifted {7 if damage == 'other seed' else 0}"

    def test_what_a_user_added_survives(self, tmp_path: Path) -> None:
        demo = build_demo(tmp_path)
        own = [tmp_path / "run" / "results.json", tmp_path / "systems" / "mine" / "demo-1.mp4"]
        for path in own:
            path.parent.mkdir(parents=True)
            path.write_text("mine", encoding="utf-8")
        build_demo(tmp_path)
        assert self.builds == 1
        (demo.benchmark / "file.txt").unlink()
        build_demo(tmp_path)
        assert self.builds == 2
        assert all(path.read_text(encoding="utf-8") == "mine" for path in own)

    def test_a_strangers_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "benchmark").mkdir()
        (tmp_path / "benchmark" / "precious.txt").write_text("keep", encoding="utf-8")
        with pytest.raises(UsageError, match="name another folder"):
            build_demo(tmp_path)
        assert (tmp_path / "benchmark" / "precious.txt").read_text(encoding="utf-8") == "keep"
        assert self.builds == 0

    def test_a_build_that_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(root: Path, seed: int) -> None:
            root.mkdir()
            raise RuntimeError(f"no space for seed {seed}")

        monkeypatch.setattr(build, "_write_all", fail)
        with pytest.raises(RuntimeError):
            build_demo(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_an_installation_cut_off_is_finished_by_the_next_call(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Path.replace
        moved: list[Path] = []

        def cut_off(self: Path, target: Path) -> Path:
            if len(moved) == 2:
                raise KeyboardInterrupt
            moved.append(target)
            return real(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut_off)
            with pytest.raises(KeyboardInterrupt):
                build_demo(tmp_path)
        demo = build_demo(tmp_path)
        assert self.builds == 2
        assert paths.is_whole(demo, 0)

    def test_the_slower_of_two_builders_takes_what_the_other_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = build._install

        def outrun(fresh: Path, workshop: Path, where: DemoPaths) -> None:
            real(fresh, workshop, where)
            raise OSError("directory not empty")

        monkeypatch.setattr(build, "_install", outrun)
        assert paths.is_whole(build_demo(tmp_path), 0)
