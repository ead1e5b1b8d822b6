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
from vidchatbench.demo import SYSTEMS, DemoPaths, DemoSize, build, build_demo
from vidchatbench.demo import files as paths
from vidchatbench.demo.face import Pose, TalkingFace
from vidchatbench.demo.looks import LOOKS
from vidchatbench.demo.motion import plan_poses
from vidchatbench.demo.people import Turn, make_turns
from vidchatbench.demo.portrait import paint
from vidchatbench.demo.speech import plan_utterance
from vidchatbench.demo.systems import GOOD, MADE_SYSTEMS, PICTURE_DELAY, POOR, SOUND_ADVANCE, poor_picture
from vidchatbench.demo.voice import VOICES, synthesise
from vidchatbench.demo.words import DIALOGUES, PRONUNCIATIONS
from vidchatbench.errors import UsageError
from vidchatbench.media.encode import write_clip
from vidchatbench.submission.check import check_submission

Pictures = NDArray[np.uint8]
Wave = NDArray[np.float32]

SAMPLE_IDS = ("demo-1", "demo-2", "demo-3", "demo-4")
SENTENCES = [text for exchanges in DIALOGUES for one in exchanges for text in (one.question, one.answer)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    """Two dyads and all systems."""
    size = DemoSize(dyads=2, systems=tuple(MADE_SYSTEMS))
    return build_demo(tmp_path_factory.mktemp("demo") / "made" / "here", size=size)


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


def test_the_manifest_describes_questions_and_answers(demo: DemoPaths) -> None:
    raw = (demo.benchmark / "manifest.jsonl").read_bytes()
    samples = [Sample.model_validate_json(line) for line in raw.splitlines()]
    about = json.loads((demo.benchmark / "benchmark.json").read_text(encoding="utf-8"))
    assert (about["name"], about["schema_version"], about["n_samples"]) == ("demo", 1, 4)
    assert about["manifest_sha256"] == hashlib.sha256(raw).hexdigest()
    assert tuple(sample.id for sample in samples) == SAMPLE_IDS
    sides = [(sample.initiator, sample.responder) for sample in samples]
    names = [look.name for look in LOOKS]
    assert [(a.speaker_id, b.speaker_id) for a, b in sides if b] == [
        (names[0], names[1]), (names[1], names[0]), (names[2], names[3]), (names[3], names[2]),
    ]  # fmt: skip
    assert [text for a, b in sides if b for text in (a.transcript, b.transcript)] == SENTENCES[:8]
    for side in (side for pair in sides for side in pair if side):
        assert hashlib.sha256((demo.benchmark / side.media).read_bytes()).hexdigest() == side.sha256
    assert len({side.sha256 for pair in sides for side in pair if side}) == 8, "everybody asks once and answers once"


def test_the_whole_demonstration_has_twelve_identities_and_one_missing_reply() -> None:
    assert len({look.name for look in LOOKS}) == len(VOICES) == len(set(VOICES)) == 12
    assert len(DIALOGUES) == DemoSize().dyads == 6
    assert len(set(SENTENCES)) == 24
    assert DemoSize().systems == SYSTEMS
    assert [MADE_SYSTEMS[name].missing for name in SYSTEMS] == [frozenset(), {"demo-7"}, frozenset()]


def test_every_word_can_be_pronounced_and_no_other_is_listed() -> None:
    words = {word.strip(",.?").lower() for text in SENTENCES for word in text.split()}
    assert words == set(PRONUNCIATIONS)
    with pytest.raises(KeyError):
        plan_utterance("Quite unknown.", 0)


def test_the_library_accepts_benchmark_and_submissions(demo: DemoPaths) -> None:
    benchmark = load_benchmark(demo.benchmark)
    assert len(benchmark) == 4
    for folder in demo.systems.values():
        assert check_submission(folder, benchmark).problems == []


@pytest.mark.parametrize("system", list(MADE_SYSTEMS))
def test_every_system_answers_every_sample(demo: DemoPaths, system: str) -> None:
    yaml = pytest.importorskip("yaml")
    folder = demo.systems[system]
    assert {path.name for path in folder.iterdir()} == {*(f"{name}.mp4" for name in SAMPLE_IDS), "system.yaml"}
    assert yaml.safe_load((folder / "system.yaml").read_text(encoding="utf-8"))["name"] == system


def test_clips_are_ordinary(demo: DemoPaths) -> None:
    for path in [*references(demo), *(folder / "demo-1.mp4" for folder in demo.systems.values())]:
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            first = next(container.decode(video))
            assert (float(video.average_rate or 0), video.codec_context.name) == (25.0, "h264")
            assert 1.5 < video.frames / 25 < 4
            assert int(first.colorspace) == 1, "BT.709 is stated"
            assert (audio.sample_rate, audio.channels, audio.codec_context.name) == (16_000, 1, "aac")
            assert float((audio.duration or 0) * (audio.time_base or 0)) == pytest.approx(video.frames / 25, abs=0.07)


def test_a_small_size_cuts_words_and_pictures(tmp_path: Path) -> None:
    made = build_demo(tmp_path, size=DemoSize(dyads=1, seconds=1.6, side=128, systems=("oracle",)))
    benchmark = load_benchmark(made.benchmark)
    assert [sample.initiator.transcript for sample in benchmark] == ["Do you play any?", "Who taught you to?"]
    for clip in references(made):
        assert read_pictures(clip).shape[1:] == (128, 128, 3)
        assert len(read_pictures(clip)) <= 40


def test_oracle_copies_the_references(demo: DemoPaths) -> None:
    for sample in load_benchmark(demo.benchmark):
        assert sample.responder is not None
        reference = demo.benchmark / sample.responder.media
        assert (demo.systems["oracle"] / f"{sample.id}.mp4").read_bytes() == reference.read_bytes()


def test_careful_is_another_take_and_hasty_a_softer_copy_of_it(demo: DemoPaths) -> None:
    for name in SAMPLE_IDS[:2]:
        real, careful, hasty = (read_pictures(demo.systems[s] / f"{name}.mp4") for s in ("oracle", "careful", "hasty"))
        assert len(careful) == len(hasty)
        common = min(len(real), len(careful))
        assert psnr(real[:common], careful[:common]) < 35
        assert psnr(careful[:-2], hasty[2:]) > psnr(careful, hasty) + 0.4, "the lips are two frames late"
        assert sharpness(hasty, 256) < 0.8 * sharpness(careful, 256)
        heard = [read_sound(demo.systems[system] / f"{name}.mp4") for system in ("careful", "hasty")]
        assert abs(lag(*heard)) <= 16


def test_still_moves_nothing_and_keeps_the_real_voice(demo: DemoPaths) -> None:
    real, still = (demo.systems[system] / "demo-1.mp4" for system in ("oracle", "still"))
    pictures = read_pictures(still)
    assert psnr(pictures[:1].repeat(len(pictures), axis=0), pictures) > 40
    assert psnr(read_pictures(real)[:1], pictures[:1]) > 35
    assert abs(lag(read_sound(real), read_sound(still))) <= 16


def test_shifted_delays_the_picture_and_advances_the_sound(demo: DemoPaths) -> None:
    reference, shifted = demo.systems["oracle"] / "demo-2.mp4", demo.systems["shifted"] / "demo-2.mp4"
    delay = round(PICTURE_DELAY * 25)
    before, after = read_pictures(reference), read_pictures(shifted)
    assert psnr(before[:-delay], after[delay:]) > psnr(before, after) + 3
    assert lag(read_sound(reference), read_sound(shifted)) == pytest.approx(-SOUND_ADVANCE * 16_000, abs=16)


def test_systems_are_graded_in_picture_and_sharpness(demo: DemoPaths) -> None:
    for name in SAMPLE_IDS[:2]:
        clips = {s: read_pictures(demo.systems[s] / f"{name}.mp4") for s in ("oracle", "shifted", "degraded")}
        oracle, shifted, degraded = (psnr(clips["oracle"], pictures) for pictures in clips.values())
        assert oracle == 100
        assert oracle > shifted + 3 > degraded + 6
        assert sharpness(clips["degraded"], 256) < 0.6 * sharpness(clips["oracle"], 256)


def test_turns_are_the_same_in_every_run_and_differ_between_seeds() -> None:
    first, again, other = (make_turns(1, 128, 1.6, seed) for seed in (3, 3, 4))
    for _ in range(2):
        one, two = next(first), next(again)
        for this, that in ((one.take, two.take), (one.second_take, two.second_take)):
            assert all(np.array_equal(a, b) for a, b in zip(this.frames, that.frames, strict=True))
            assert np.array_equal(this.wave, that.wave)
        assert np.array_equal(one.dubbed(), two.dubbed())
    assert not np.array_equal(next(first).take.wave, next(other).take.wave)


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    face = TalkingFace(paint(LOOKS[0]), 256)
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
    turn: Turn = next(make_turns(2, 256, 10.0, 0))
    clip = demo.benchmark / "media" / f"{turn.actor.name}_asks.mp4"
    assert abs(lag(turn.take.wave, read_sound(clip))) <= 2
    assert psnr(np.stack(turn.take.frames), read_pictures(clip)) > 35


@pytest.mark.parametrize("sentence", SENTENCES[::5])
@pytest.mark.parametrize("voice", [0, 3])
def test_the_mouth_follows_the_speech(sentence: str, voice: int) -> None:
    utterance = plan_utterance(sentence, voice)
    opening = [pose.opening for pose in plan_poses(utterance, 0)]
    wave = synthesise(utterance, VOICES[voice], 0)
    loudness = np.sqrt((wave.reshape(len(opening), 640) ** 2).mean(axis=1))
    best = [np.corrcoef(np.roll(loudness, shift), opening)[0, 1] for shift in range(-15, 16)]
    assert max(best) > 0.6
    assert abs(int(np.argmax(best)) - 15) <= 1


def test_the_mouth_opens_visibly() -> None:
    face = TalkingFace(paint(LOOKS[0]), 256)
    closed, opened = (face.draw(Pose(opening=opening)).astype(float).mean(axis=2) for opening in (0.0, 1.0))
    change = np.abs(opened - closed)
    assert change[133:171, 109:149].mean() > 10
    assert change[:112].max() == 0


@pytest.mark.usefixtures("one_thread")
def test_each_face_is_found_and_resembles_itself_most() -> None:
    torch = pytest.importorskip("torch")
    mtcnn = pytest.importorskip("facenet_pytorch").MTCNN(keep_all=True, min_face_size=60)
    poses = (Pose(), Pose(opening=0.9, turn=(4.0, 1.5), roll=0.02))
    pictures = [Image.fromarray(TalkingFace(paint(look), 256).draw(pose)) for look in LOOKS for pose in poses]
    with torch.inference_mode():
        found = mtcnn.detect(pictures)[1]
    assert [len(one) for one in found] == [1] * 24
    assert min(float(one[0]) for one in found) > 0.99


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
        assert sum(span["end"] - span["start"] for span in spans) / 16_000 > 0.7, clip.name
        pcm = (wave * 32767).astype("<i2")
        blocks = [pcm[start : start + 480].tobytes() for start in range(0, len(pcm) - 479, 480)]
        assert 0.03 * sum(strict.is_speech(block, 16_000) for block in blocks) > 0.7, clip.name


@pytest.mark.usefixtures("one_thread")
def test_a_speaker_sounds_like_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    morphology = types.ModuleType("scipy.ndimage.morphology")
    # Resemblyzer imports a module that current scipy no longer has, for silence trimming that is not used here.
    morphology.binary_dilation = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    encoder = pytest.importorskip("resemblyzer").VoiceEncoder("cpu", verbose=False)
    sentences = SENTENCES[:2]
    voices = np.array(
        [
            encoder.embed_utterance(synthesise(plan_utterance(sentence, 0, tempo=voice.tempo), voice, 0))
            for sentence in sentences
            for voice in VOICES
        ]
    )
    likeness = voices[:12] @ voices[12:].T
    assert (likeness.argmax(axis=1) == np.arange(12)).all()
    same, different = np.diag(likeness).mean(), likeness[~np.eye(12, dtype=bool)].mean()
    assert same > different + 0.1


class TestFolder:
    """Reuse and repair, with a writer that only pretends, so that it takes no time."""

    @pytest.fixture(autouse=True)
    def _quick_writer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.builds = 0

        def write(root: Path, seed: int, size: DemoSize) -> None:
            self.builds += 1
            for part in DemoPaths(root, size.systems).parts:
                (root / part).mkdir(parents=True)
                (root / part / "file.txt").write_text(f"{part} {seed}", encoding="utf-8")

        monkeypatch.setattr(build, "_write_all", write)

    def test_a_whole_folder_is_reused(self, tmp_path: Path) -> None:
        one, two = build_demo(tmp_path / "d"), build_demo(tmp_path / "d")
        assert one == two
        assert self.builds == 1
        assert {path.name for path in (tmp_path / "d").iterdir()} == {"benchmark", "systems", "demo.json"}

    @pytest.mark.parametrize(
        "damage", ["changed", "lost", "marker cut off", "marker of another kind", "other seed", "other size"]
    )
    def test_a_damaged_folder_is_rebuilt(self, tmp_path: Path, damage: str) -> None:
        demo = build_demo(tmp_path)
        victim = demo.systems["hasty"] / "file.txt"
        if damage == "changed":
            victim.write_text("spoilt", encoding="utf-8")
        elif damage == "lost":
            victim.unlink()
        elif damage == "marker cut off":
            demo.marker.write_text('{"recipe": 2, "fi', encoding="utf-8")
        elif damage == "marker of another kind":
            demo.marker.write_text("[1, 2]", encoding="utf-8")
        size = DemoSize(dyads=1) if damage == "other size" else None
        build_demo(tmp_path, seed=7 if damage == "other seed" else 0, size=size)
        assert self.builds == 2
        assert victim.read_text(encoding="utf-8") == f"systems/hasty {7 if damage == 'other seed' else 0}"

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
        def fail(root: Path, seed: int, size: DemoSize) -> None:
            del size
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
        assert paths.is_whole(demo, 0, DemoSize())

    def test_the_slower_of_two_builders_takes_what_the_other_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = build._install

        def outrun(fresh: Path, workshop: Path, where: DemoPaths) -> None:
            real(fresh, workshop, where)
            raise OSError("directory not empty")

        monkeypatch.setattr(build, "_install", outrun)
        assert paths.is_whole(build_demo(tmp_path), 0, DemoSize())
