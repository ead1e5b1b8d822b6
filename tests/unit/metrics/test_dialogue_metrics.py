"""Dialogue metrics on made-up features, tiny seeded encoders and a scripted endpoint; no published model is needed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from vidchatbench.api import (
    SAMPLE_RATE,
    Audio,
    Dimension,
    ExtractorContext,
    Feature,
    JointItem,
    Plugin,
    Role,
    Sample,
    SampleInput,
    SampleNotes,
    Score,
    Side,
    Status,
)
from vidchatbench_metrics import dialogue
from vidchatbench_metrics.dialogue.ladder import LadderClip, LadderEmbed, nearest
from vidchatbench_metrics.dialogue.ladder_embeddings import ClipLadder, SentenceLadder
from vidchatbench_metrics.dialogue.text_encoder import Embedded, joined, pieces_of
from vidchatbench_metrics.dialogue.transcription import whisper_files
from vidchatbench_metrics.dialogue.transcription.endpoint_transcript import EndpointError, EndpointTranscript, key_for
from vidchatbench_metrics.dialogue.transcription.given_transcript import (
    DeclaredTranscript,
    GivenTranscript,
    text_feature,
)
from vidchatbench_metrics.dialogue.transcription.source import Transcripts
from vidchatbench_metrics.dialogue.transcription.transcript import Passage, Word, silence, transcript
from vidchatbench_metrics.dialogue.transcription.whisper import place
from vidchatbench_metrics.dialogue.transcription.whisper_transcript import WhisperTranscript
from vidchatbench_metrics.dialogue.wer import Cer, Wer, characters

METRICS = (LadderClip, LadderEmbed, Wer, Cer)
EXTRACTORS = (ClipLadder, SentenceLadder, DeclaredTranscript, GivenTranscript, WhisperTranscript, EndpointTranscript)
NAMED = "sha256:" + "ab" * 32
ENDPOINT = "endpoint:http://some.host:8000/v1#org/Whisper-X"
GRADES = (0.2, 0.4, 0.6, 0.8, 1.0)


def sample(language: str = "en", ladder: tuple[tuple[str, float], ...] = (), name: str = "a") -> Sample:
    return Sample.model_validate(
        {
            "id": name,
            "task": "dialogue",
            "language": language,
            "initiator": Side(media="i.mp4", sha256="0" * 64, speaker_id=f"speaker of {name}"),
            "ladder": [{"text": text, "score": score} for text, score in ladder],
        }
    )


def heard(text: str, status: str = "ok", language: str | None = "en") -> Feature:
    return Feature({}, {"status": status, "text": text, "language": language})


def speech(seconds: float) -> Feature:
    return Feature({}, {"speech_seconds": seconds, "duration": 5.0})


class TestDeclarations:
    def test_tables_make_a_valid_plugin(self):
        plugin = Plugin(metrics=dialogue.METRICS, extractors=dialogue.EXTRACTORS, weights=dialogue.WEIGHTS)
        assert {metric.default_card.id for metric in METRICS} <= set(plugin.metrics)
        assert {extractor.id for extractor in EXTRACTORS} <= set(plugin.extractors)
        names = [weight.name for weight in plugin.weights]
        assert len(names) == len(set(names))
        assert all(weight.sha256 and weight.commercial_use for weight in plugin.weights)

    @pytest.mark.parametrize("metric", METRICS)
    def test_card_agrees_with_tables_and_extractors(self, metric):
        card = metric().card
        assert dialogue.METRICS[card.id] == f"{metric.__module__}:{metric.__name__}"
        assert card.dimension is Dimension.DIALOGUE
        assert card.roles == (Role.CANDIDATE,)
        assert "whisper-large-v3" in card.protocol
        assert all((card.formula, card.reading, card.failure_modes))
        known = {weight.name for weight in dialogue.WEIGHTS} | {"silero_vad_16k"}
        assert set(card.weights) <= known
        extractors = {extractor.id: extractor for extractor in EXTRACTORS}
        needed = {"silero_vad_16k"}
        for need in metric().needs():
            made = extractors[need.extractor.id](**dict(need.extractor.params))
            assert made.spec == need.extractor
            needed |= set(made.weights)
            for read in getattr(made, "reads", tuple)():
                needed |= set(WhisperTranscript(**dict(read.extractor.params)).weights)
        assert set(card.weights) == needed

    @pytest.mark.parametrize("metric", METRICS)
    def test_transcripts_change_the_protocol(self, metric):
        own, given, small = metric(), metric(transcripts="given"), metric(transcripts="whisper-small")
        assert given.card.protocol == own.card.protocol.replace("whisper-large-v3", "given")
        assert small.card.protocol == own.card.protocol.replace("large-v3", "small")
        assert "whisper_small_model" in small.card.weights
        assert not any("whisper" in name for name in given.card.weights)
        assert "brought by the user" in given.card.protocol_text

    @pytest.mark.parametrize("metric", METRICS)
    def test_an_endpoint_shows_its_model_and_not_its_address(self, metric):
        made = metric(transcripts=ENDPOINT)
        assert "/endpoint-org-whisper-x" in made.card.protocol
        assert "some.host" not in json.dumps({**made.card.model_dump(mode="json"), "params": dict(made.params)})
        assert "some.host" in str(made.needs()[-1].extractor)
        # What results keep is enough for the card, and says so where it is not enough to run.
        again = metric(**made.params)
        assert again.card == made.card
        with pytest.raises(ValueError, match="URL is missing"):
            again.needs()

    @pytest.mark.parametrize(
        "transcripts",
        ["", "large-v3", "whisper-huge", "endpoint:", "endpoint:http://x/v1", "endpoint:ftp://x#m",
         "endpoint:http://user:key@x/v1#m"],
    )  # fmt: skip
    def test_other_transcripts_are_refused(self, transcripts):
        with pytest.raises(ValueError, match=r"transcript|Whisper|endpoint"):
            Wer(transcripts=transcripts)

    @pytest.mark.parametrize("metric", [LadderClip, LadderEmbed])
    def test_an_encoder_named_by_its_hash_is_another_protocol(self, metric):
        named = metric(network=NAMED, tokenizer=NAMED, transcripts="given").card
        assert named.protocol.partition("/")[2].startswith("given-net-abababababab-tok-abababababab-")
        assert named.weights == (NAMED, NAMED, "silero_vad_16k")
        assert not named.commercial_use
        with pytest.raises(ValueError, match="has no network"):
            metric(network="clip")

    def test_what_is_frozen(self):
        protocols = [metric().card.protocol for metric in METRICS]
        assert protocols == [
            "ladder_clip/whisper-large-v3-clip-vit-l14-75t-v1",
            "ladder_embed/whisper-large-v3-minilm-l6-v2-254t-v1",
            "wer/whisper-large-v3-v1",
            "cer/whisper-large-v3-v1",
        ]
        assert [metric().card.worst for metric in METRICS] == [0.2, 0.2, 1.0, 1.0]

    def test_importing_them_loads_no_model_library(self):
        modules = {kind.__module__ for kind in (*METRICS, *EXTRACTORS)}
        heavy = {"torch", "transformers", "openai", "faster_whisper", "jiwer"}
        code = f"import sys, {', '.join(sorted(modules))}; print({heavy} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


class TestHearing:
    def test_words_and_text(self):
        words = (Word(" Hello", 0.1, 0.4, 0.9), Word(" there.", 0.4, 0.8, 0.5))
        found = transcript(
            [Passage(" Hello there.", 0.7, 0.1, -0.2, 1.1, words)],
            speech_seconds=0.7,
            language="en",
            language_probability=0.9,
        )
        assert (found.meta["status"], found.meta["text"], found.meta["language"]) == ("ok", "Hello there.", "en")
        assert json.loads(str(found.meta["words"])) == ["Hello", "there."]
        np.testing.assert_array_equal(found["word_start"], [0.1, 0.4])
        np.testing.assert_array_equal(found["word_probability"], [0.9, 0.5])

    @pytest.mark.parametrize(
        ("no_speech", "logprob", "compression", "hallucinated"),
        [(0.61, -1.01, 1.0, True), (0.6, -1.01, 1.0, False), (0.61, -1.0, 1.0, False), (0.99, -0.1, 2.4, False),
         (0.0, -0.1, 2.41, True), (None, None, None, False), (0.9, None, None, False)],
    )  # fmt: skip
    def test_thresholds(self, no_speech, logprob, compression, hallucinated):
        assert Passage("x", 1.0, no_speech, logprob, compression).hallucinated is hallucinated

    def test_a_hallucinated_end_does_not_spoil_the_rest(self):
        good = Passage(" Fine.", 3.0, 0.0, -0.2, 1.0, (Word(" Fine.", 0, 1),))
        bad = Passage(" Thanks. Thanks.", 1.0, 0.0, -0.6, 9.0, (Word(" Thanks.", 3, 4),))
        found = transcript([good, bad], speech_seconds=1, language="en", language_probability=None)
        assert (found.meta["status"], found.meta["text"]) == ("ok", "Fine.")
        assert (found.meta["dropped_text"], found.meta["dropped_passages"]) == ("Thanks. Thanks.", 1)
        assert found["word_start"].shape == (1,)
        assert found.meta["compression_ratio"] == 9.0
        assert found.meta["logprob"] == pytest.approx(-0.3)
        alone = transcript([bad], speech_seconds=1, language="en", language_probability=None)
        assert (alone.meta["status"], alone.meta["text"]) == ("hallucinated", "")

    def test_silence_and_no_words(self):
        assert silence(0.1).meta["status"] == "silent"
        for passages in ([], [Passage("  ", 1.0)]):
            found = transcript(passages, speech_seconds=1, language="en", language_probability=None)
            assert found.meta["status"] == "empty"


class FakeWhisperModel:
    """Stands in for faster-whisper's model alone: remembers what it was made of and what it was asked."""

    made: dict = {}
    asked: dict = {}

    def __init__(self, folder, **options):
        from pathlib import Path

        type(self).made = {"files": {p.name: p.read_bytes() for p in Path(folder).iterdir()}, **options}

    def transcribe(self, samples, **options):
        type(self).asked = {"n": len(samples), **options}
        word = SimpleNamespace(word=" Yes.", start=np.float64(0.5), end=np.float64(0.9), probability=0.75)
        segment = SimpleNamespace(
            text=" Yes.", start=0.4, end=1.0, no_speech_prob=0.1, avg_logprob=-0.3, compression_ratio=0.6, words=[word]
        )
        return iter([segment]), SimpleNamespace(language="en", language_probability=0.98)


@pytest.fixture
def fake_whisper(monkeypatch):
    module = ModuleType("faster_whisper")
    module.WhisperModel = FakeWhisperModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return FakeWhisperModel


class TestWhisper:
    def context(self, tmp_path, size):
        paths = {}
        for file, name in whisper_files.weights_of(size).items():
            paths[name] = tmp_path / f"mirror-{name}"
            paths[name].write_text(file)
        return ExtractorContext("cpu", 1, paths)

    @pytest.mark.parametrize("size", whisper_files.SIZES)
    def test_a_folder_is_made_of_the_files(self, tmp_path, fake_whisper, size):
        extractor = WhisperTranscript(model=size)
        context = self.context(tmp_path, size)
        assert set(extractor.weights) == set(context.weights)
        extractor.setup(context)
        files = fake_whisper.made["files"]
        assert files == {name: name.encode() for name in files}
        assert {"model.bin", "config.json", "tokenizer.json"} < set(files)
        assert fake_whisper.made["compute_type"] == "float32"
        assert fake_whisper.made["local_files_only"] is True

    def test_what_is_asked(self, tmp_path, fake_whisper):
        extractor = WhisperTranscript()
        extractor.setup(self.context(tmp_path, "large-v3"))
        found = extractor.extract(Audio(np.zeros(SAMPLE_RATE, np.float32)), {"speech": speech(0.9)})
        assert (found.meta["text"], found.meta["status"], found.meta["language_probability"]) == ("Yes.", "ok", 0.98)
        np.testing.assert_array_equal(found["word_end"], [0.9])
        assert fake_whisper.asked == {
            "n": SAMPLE_RATE, "language": None, "beam_size": 5, "temperature": 0.0, "condition_on_previous_text": False,
            "word_timestamps": True, "vad_filter": False, "compression_ratio_threshold": None,
            "log_prob_threshold": None, "no_speech_threshold": None,
        }  # fmt: skip

    def test_silence_is_not_listened_to(self, tmp_path, fake_whisper):
        extractor = WhisperTranscript()
        extractor.setup(self.context(tmp_path, "large-v3"))
        fake_whisper.asked = {}
        found = extractor.extract(Audio(np.zeros(SAMPLE_RATE, np.float32)), {"speech": speech(0.29)})
        assert (found.meta["status"], found.meta["text"]) == ("silent", "")
        assert fake_whisper.asked == {}

    def test_files_are_placed_where_links_cannot_be_made(self, tmp_path, monkeypatch):
        from pathlib import Path

        def refuse(*_):
            raise OSError("no links here")

        source = tmp_path / "a"
        source.write_text("content")
        place(source, tmp_path / "linked")
        monkeypatch.setattr(Path, "symlink_to", refuse)
        monkeypatch.setattr(Path, "hardlink_to", refuse)
        place(source, tmp_path / "copied")
        assert (tmp_path / "linked").read_text() == (tmp_path / "copied").read_text() == "content"
        assert not (tmp_path / "copied").is_symlink()


VERBOSE = {
    "text": "Good morning. Thank you. Thank you.",
    "language": "english",
    "segments": [
        {"start": 0.0, "end": 1.0, "text": " Good morning.", "no_speech_prob": 0.1, "avg_logprob": -0.2,
         "compression_ratio": 1.0},
        {"start": 1.0, "end": 2.0, "text": " Thank you. Thank you.", "no_speech_prob": 0.1, "avg_logprob": -0.2,
         "compression_ratio": 5.0},
    ],
    "words": [{"word": "Good", "start": 0.1, "end": 0.3}, {"word": "morning", "start": 0.3, "end": 0.9},
              {"word": "Thank", "start": 1.2, "end": 1.4}],
}  # fmt: skip


@pytest.fixture
def server():
    """A transcription endpoint on this computer; ``script`` holds its answers, ``seen`` what it was sent."""
    state = SimpleNamespace(script=[], seen=[])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.seen.append((self.path, self.headers.get("Authorization"), body))
            status, content = state.script.pop(0) if len(state.script) > 1 else state.script[0]
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    state.endpoint = f"http://127.0.0.1:{running.server_port}/v1#whisper-x"
    yield state
    running.shutdown()
    running.server_close()


class TestEndpoint:
    def listen(self, server, seconds: float = 1.0):
        extractor = EndpointTranscript(endpoint=server.endpoint)
        extractor.setup(ExtractorContext("cpu", 1, {}))
        sound = np.linspace(-1, 1, SAMPLE_RATE, dtype=np.float32)
        try:
            return extractor.extract(Audio(sound), {"speech": speech(seconds)})
        finally:
            extractor.release()

    def test_words_passages_and_hallucinations(self, server, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-common")
        monkeypatch.setenv("VIDCHATBENCH_TRANSCRIBE_KEY", "sk-own")
        server.script = [(200, VERBOSE)]
        found = self.listen(server)
        assert (found.meta["text"], found.meta["dropped_text"]) == ("Good morning.", "Thank you. Thank you.")
        assert json.loads(str(found.meta["words"])) == ["Good", "morning"]
        ((path, key, body),) = server.seen
        assert (path, key) == ("/v1/audio/transcriptions", "Bearer sk-own")
        assert b"whisper-x" in body
        with wave.open(BytesIO(body[body.index(b"RIFF") :])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (SAMPLE_RATE, 1, SAMPLE_RATE)
            frames = np.frombuffer(file.readframes(SAMPLE_RATE), "<i2")
            assert (frames[0], frames[-1]) == (-32767, 32767)

    def test_a_server_that_knows_plain_json_only(self, server):
        server.script = [(400, {"error": {"message": "no verbose_json"}}), (200, {"text": "Hello."})]
        found = self.listen(server)
        assert (found.meta["status"], found.meta["text"]) == ("ok", "Hello.")
        assert len(server.seen) == 2

    def test_empty_answer_is_a_status(self, server):
        server.script = [(200, {"text": "  "})]
        assert self.listen(server).meta["status"] == "empty"

    def test_silence_is_not_sent(self, server):
        server.script = [(200, VERBOSE)]
        assert self.listen(server, 0.1).meta["status"] == "silent"
        assert server.seen == []

    @pytest.mark.parametrize("status", [401, 500])
    def test_faults_name_neither_address_nor_key(self, server, monkeypatch, status):
        monkeypatch.setattr(EndpointTranscript, "retries", 0)
        monkeypatch.setenv("VIDCHATBENCH_TRANSCRIBE_KEY", "sk-own")
        server.script = [(status, {"error": {"message": "key sk-own of http://127.0.0.1 is wrong"}})]
        with pytest.raises(EndpointError, match=str(status)) as caught:
            self.listen(server)
        assert not any(secret in str(caught.value) for secret in ("sk-own", "127.0.0.1"))
        assert caught.value.__suppress_context__

    def test_a_common_key_does_not_travel_in_the_clear(self, monkeypatch):
        monkeypatch.delenv("VIDCHATBENCH_TRANSCRIBE_KEY", raising=False)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-common")
        assert key_for("http://somewhere/v1") is None
        assert key_for("https://somewhere/v1") == "sk-common"


class TestNotes:
    def test_given_and_declared_are_not_confused(self):
        notes = SampleNotes(declared_transcript=" said ", given_transcript=" heard ")
        for kind, text in ((DeclaredTranscript, "said"), (GivenTranscript, "heard")):
            content = kind().content(sample(), notes)
            ((position, found),) = kind().extract([SampleInput("a", content)])
            assert position == 0
            assert isinstance(found, Feature)
            assert (found.meta["text"], found.meta["status"]) == (text, "ok")
            assert kind().content(sample(), SampleNotes()) is None
        assert text_feature(" \n").meta["status"] == "empty"


def error_rate(metric, declared: str, said: Feature, language: str = "en", **more: Feature):
    return metric.score(sample(language), {"declared": text_feature(declared), "transcript": said, **more})


class TestWer:
    @pytest.fixture(autouse=True)
    def _packages(self):
        pytest.importorskip("jiwer")
        pytest.importorskip("whisper_normalizer")

    @pytest.mark.parametrize(
        ("declared", "said", "counts", "value"),
        [
            ("the cat sat on the mat", "the cat sat on the mat", (0, 0, 0), 0.0),
            ("the cat sat on the mat", "the bat sat on mat", (1, 1, 0), 2 / 6),
            ("a b c d", "a b x y c d", (0, 0, 2), 0.5),
            ("one word", "", (0, 2, 0), None),
            ("Colour? Mr. Brown won't pay $20.", "color mister brown will not pay twenty dollars", (0, 0, 0), 0.0),
        ],
    )
    def test_by_hand(self, declared, said, counts, value):
        score = error_rate(Wer(), declared, heard(said, "ok" if said else "empty"))
        if value is None:
            assert score.status is Status.OUTPUT_INVALID
            return
        assert score.value == pytest.approx(value)
        assert tuple(score.details[name] for name in ("substitutions", "deletions", "insertions")) == counts

    def test_the_declared_text_is_the_reference(self):
        assert error_rate(Wer(), "a b c d", heard("a b")).value == 0.5
        assert error_rate(Wer(), "a b", heard("a b c d")).value == 1.0

    def test_more_errors_than_words(self):
        score = error_rate(Wer(), "yes", heard("no no no"))
        assert score.value == 1.0
        assert (score.details["uncapped"], score.details["errors"], score.details["reference_count"]) == (3.0, 3, 1)

    @pytest.mark.parametrize("status", ["silent", "hallucinated", "empty"])
    def test_what_cannot_be_heard_is_the_submissions_fault(self, status):
        score = error_rate(Wer(), "hello", heard("", status))
        assert score.status is Status.OUTPUT_INVALID
        assert score.details["status"] == status

    @pytest.mark.parametrize("declared", ["", "...", "(uh)"])
    def test_nothing_declared(self, declared):
        assert error_rate(Wer(), declared, heard("hello")).status is Status.NOT_APPLICABLE

    def test_other_languages_go_by_character(self):
        assert error_rate(Wer(), "你好", heard("你好"), "zh").status is Status.NOT_APPLICABLE
        score = error_rate(Cer(), "你好吗\uff1f", heard("你 好 嗎", language="zh"), "zh-CN")
        assert score.value == pytest.approx(1 / 3)
        assert score.details["language"] == "zh"
        assert error_rate(Cer(), "Straße, ÉTÉ!", heard("STRASSE été"), "de").value == 0.0

    def test_marks_are_letters(self):
        # Without its vowel signs the second word would equal the first.
        assert characters("कि", "hi") != characters("क", "hi")
        assert characters("Don't!", "en") == list("donot")

    @pytest.mark.parametrize("mark", "\u2019\u02bc\uff07\u00b4`\u2018\u201b\u2032\u02bb\uff40")
    def test_every_apostrophe_is_one(self, mark):
        # The right value is that of the same words with the apostrophe of ASCII: no error, whichever side has it.
        plain = "Don't worry, it's Oma's, we'll say they're fine and 'twas rock 'n' roll."
        other = plain.replace("'", mark)
        for declared, said in ((plain, other), (other, plain), (other, other)):
            for metric in (Wer(), Cer()):
                score = error_rate(metric, declared, heard(said))
                assert (score.value, score.details["errors"]) == (0.0, 0), (declared, said)
        assert error_rate(Wer(), plain, heard(other.replace("worry", "hurry"))).details["errors"] == 1

    @pytest.mark.parametrize(
        "mark",
        "\u200b\ufeff\u200e\u00ad\u200c\u200d\u200f\u2060\u2063\u202a\u202c\u2066\u2069\u061c\u034f\u3164\ufe0f\u0000\u0007\u007f",
        ids=lambda mark: f"{ord(mark):04x}",
    )
    def test_what_cannot_be_seen_is_not_there(self, mark):
        plain = "I don't colour two maps, Mr. Brown."
        for other in (mark.join(plain), f"{mark}{plain}{mark}", plain.replace(" ", f"{mark} {mark}")):
            for declared, said in ((plain, other), (other, plain)):
                for metric in (Wer(), Cer()):
                    assert error_rate(metric, declared, heard(said)).value == 0.0, ascii(other)
        assert error_rate(Wer(), mark, heard("hello")).status is Status.NOT_APPLICABLE

    @pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u3000", "\u2028", "\n", "\t", "\u0085"])
    def test_spaces_of_every_kind_still_part_words(self, space):
        assert error_rate(Wer(), "one cat sat", heard(f"one{space}cat{space}sat")).value == 0.0

    def test_apostrophes_in_other_languages(self):
        for mark in "\u2019\u02bc\uff07\u00b4`":
            assert error_rate(Cer(), f"l{mark}eau d{mark}ici", heard("l'eau d'ici"), "fr").value == 0.0
        assert error_rate(Cer(), "l\u200b'e\u00adau", heard("l'eau"), "fr").value == 0.0
        assert characters("\u02bb\u014dlelo", "haw") != characters("\u014dlelo", "haw"), "the okina is a letter"
        assert characters("\u0915\u093f", "hi") != characters("\u0915", "hi")

    def test_a_brought_text_needs_speech_in_the_clip(self):
        metric = Wer(transcripts="given")
        assert [need.extractor.id for need in metric.needs()] == [
            "dialogue/declared", "dialogue/transcript_given", "speech/silero",
        ]  # fmt: skip
        assert error_rate(metric, "hi", text_feature("hi"), speech=speech(1.0)).value == 0.0
        assert error_rate(metric, "hi", text_feature("hi"), speech=speech(0.1)).status is Status.OUTPUT_INVALID

    @pytest.mark.parametrize(
        ("text", "plain"),
        [
            ("two", "2"),
            ("three and a half million", "3500000"),
            ("two point five million", "2500000"),
            ("millions", "1000000s"),
            ("Mr. Park visited Assoc. Prof. Kim Jr.", "mister park visited associate professor kim junior"),
            ("$0.36", "¢36"),
            ("sixty-five", "65"),
            ("twenty twenty-one", "2021"),
            ("one oh one", "101"),
            ("two double o seven", "2007"),
            ("three thousand twenty nine", "3029"),
            ("fifty percent", "50%"),
            ("Let's", "let us"),
            ("he's like", "he is like"),
            ("she's been like", "she has been like"),
            ("10km", "10 km"),
            ("mobilisation", "mobilization"),
            ("cancelation", "cancellation"),
        ],
    )
    def test_published_cases_of_the_normaliser(self, text, plain):
        from vidchatbench_metrics.dialogue.wer import words

        assert " ".join(words(text)) == plain


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def embeddings(reply: np.ndarray, rows: list[np.ndarray], status: str = "ok") -> Feature:
    return Feature(
        {"reply": reply, "ladder": np.stack(rows), "grade": np.array(GRADES[: len(rows)])},
        {"status": status, "tokens": 7, "pieces": 1},
    )


class TestLadder:
    def test_cosines_by_hand(self):
        # cosines 0.6, 0.8, 0
        found = nearest(
            unit(3, 4, 0), np.stack([unit(1, 0, 0), unit(0, 1, 0), unit(0, 0, 1)]), np.array([1, 0.4, 0.2]), 0.1
        )
        assert (found.grade, found.tie) == (0.4, False)
        assert found.cosine == pytest.approx(0.8, abs=1e-7)
        assert found.margin == pytest.approx(0.2, abs=1e-7)
        weights = np.exp([-2, 0, -8])
        assert found.soft == pytest.approx((weights * [1, 0.4, 0.2]).sum() / weights.sum(), abs=1e-6)

    def test_ties_are_averaged_and_said(self):
        score = LadderClip().score(sample(), {"embeddings": embeddings(unit(1, 1), [unit(1, 0), unit(0, 1)])})
        assert score.value == pytest.approx(0.3)
        assert (score.details["tie"], score.details["margin"]) == (True, 0.0)

    def test_two_steps_of_one_text_and_the_order_of_the_manifest(self):
        rows = [unit(0, 1), unit(1, 0), unit(1, 0)]
        forward = nearest(unit(1, 0), np.stack(rows), np.array([1, 0.2, 0.6]), 0.01)
        backward = nearest(unit(1, 0), np.stack(rows[::-1]), np.array([0.6, 0.2, 1]), 0.01)
        assert forward == backward
        assert forward.grade == pytest.approx(0.4)

    def test_the_margin_is_to_the_nearest_step_of_another_grade(self):
        rows = np.stack([unit(1, 0), unit(0.96, 0.28), unit(0.6, 0.8)])
        assert nearest(unit(1, 0), rows, np.array([1.0, 1.0, 0.2]), 0.1).margin == pytest.approx(0.4, abs=1e-6)
        assert nearest(unit(1, 0), rows, np.array([1.0, 0.2, 0.2]), 0.1).margin == pytest.approx(0.04, abs=1e-6)

    def test_what_replies_collect_on_the_ladders_of_others_stands_beside_the_value(self):
        # The reply of a hits its own top step; on the ladder of b it is nearest to the lowest one, and likewise for b.
        ladders = {"a": [unit(0, 1), unit(1, 0)], "b": [unit(1, 0), unit(0, 1)]}
        replies = {"a": unit(1, 0.1), "b": unit(0.1, 1)}
        items = [
            JointItem(sample(name=name), {"embeddings": embeddings(replies[name], ladders[name])}) for name in ladders
        ]
        lost = JointItem(sample(name="lost"), {}, Score.invalid("no reply"))
        made = LadderEmbed().score_all([*items, lost])
        assert [score.value for score in made.scores] == [0.4, 0.4, None]
        assert [score.details.get("shuffled") for score in made.scores] == [0.2, 0.2, None]
        margin = (1 - 0.1) / np.hypot(1, 0.1)
        assert made.summary == pytest.approx({"margin": margin, "shuffled": 0.2}, abs=1e-6)
        alone = LadderEmbed().score_all(items[:1])
        assert "shuffled" not in alone.scores[0].details
        assert set(alone.summary) == {"margin"}

    @pytest.mark.parametrize(("metric", "temperature"), [(LadderClip, 0.01), (LadderEmbed, 0.05)])
    def test_soft_score_of_each(self, metric, temperature):
        rows = [unit(1, 0), unit(0.96, 0.28)]
        score = metric().score(sample(), {"embeddings": embeddings(unit(1, 0), rows)})
        assert score.value == 0.2
        second = np.exp((0.96 - 1) / temperature)
        assert score.details["soft"] == pytest.approx((0.2 + 0.4 * second) / (1 + second), abs=1e-6)
        assert (score.details["tokens"], score.details["pieces"]) == (7, 1)

    @pytest.mark.parametrize("status", ["silent", "hallucinated", "empty"])
    def test_what_cannot_be_heard_is_the_submissions_fault(self, status):
        score = LadderClip().score(sample(), {"embeddings": embeddings(np.zeros(0), [unit(1, 0)] * 2, status)})
        assert score.status is Status.OUTPUT_INVALID
        assert score.reason

    def test_a_brought_text_needs_speech_in_the_clip(self):
        metric = LadderClip(transcripts="given")
        features = {"embeddings": embeddings(unit(1, 0), [unit(1, 0), unit(0, 1)]), "speech": speech(0.0)}
        assert "speech" in {need.name for need in metric.needs()}
        assert metric.score(sample(), features).status is Status.OUTPUT_INVALID


class FakeEncoder:
    """Two numbers of a text: its length and its first letter."""

    def __init__(self, *_):
        self.seen = []

    def __call__(self, text):
        self.seen.append(text)
        return Embedded(unit(len(text), ord(text[0])), len(text), 1)


class TestLadderEmbeddings:
    LADDER = (("bad", 0.2), ("better", 1.0))

    def extractor(self, **params):
        made = ClipLadder(**params)
        made.encoder_type = lambda: FakeEncoder  # type: ignore[method-assign,assignment,return-value]
        made.setup(ExtractorContext("cpu", 1, dict.fromkeys(made.weights)))  # type: ignore[dict-item]
        return made

    def test_content_is_what_the_number_depends_on(self):
        extractor = ClipLadder()
        assert extractor.content(sample(ladder=self.LADDER), SampleNotes(given_transcript="x")) == {
            "ladder": [["bad", 0.2], ["better", 1.0]]
        }
        assert [need.extractor.id for need in extractor.reads()] == ["dialogue/transcript"]
        given = ClipLadder(transcripts="given")
        assert given.reads() == ()
        content = given.content(sample(ladder=self.LADDER), SampleNotes(given_transcript="x"))
        assert content is not None
        assert content["reply"] == "x"
        assert given.content(sample(ladder=self.LADDER), SampleNotes()) is None

    @pytest.mark.parametrize(
        "other", [sample(), sample(ladder=(("a", 1.0), ("b", 1.0))), sample("fr", LADDER)], ids=["none", "flat", "fr"]
    )
    def test_samples_that_do_not_apply(self, other):
        assert ClipLadder().content(other, SampleNotes()) is None

    def test_features(self):
        extractor = self.extractor()
        content = extractor.content(sample(ladder=self.LADDER), SampleNotes())
        inputs = [
            SampleInput("a", content, {"transcript": heard("hello")}),
            SampleInput("b", content, {"transcript": heard("ignored", "silent")}),
        ]
        (_, first), (position, second) = extractor.extract(inputs)
        np.testing.assert_array_equal(first["reply"], unit(5, ord("h")))
        np.testing.assert_array_equal(first["ladder"], [unit(3, ord("b")), unit(6, ord("b"))])
        np.testing.assert_array_equal(first["grade"], [0.2, 1.0])
        assert (first.meta["status"], first.meta["tokens"], first.meta["pieces"]) == ("ok", 5, 1)
        assert position == 1
        assert (second["reply"].shape, second.meta["status"]) == ((0,), "silent")

    def test_given_text(self):
        extractor = self.extractor(transcripts="given")
        content = extractor.content(sample(ladder=self.LADDER), SampleNotes(given_transcript=" hi "))
        ((_, found),) = extractor.extract([SampleInput("a", content)])
        np.testing.assert_array_equal(found["reply"], unit(2, ord("h")))


class TestPieces:
    @staticmethod
    def tokens(text: str) -> list[int]:
        return [ord(word[0]) for word in text.split()]

    def cut(self, text: str, limit: int) -> list[str]:
        return ["".join(map(chr, piece)) for piece in pieces_of(text, self.tokens, limit)]

    def test_short_texts_are_whole(self):
        assert self.cut("a b. c d.", 4) == ["abcd"]
        assert self.cut("", 4) == [""]

    def test_sentences_are_kept_together(self):
        assert self.cut("a b. c d! e? f g h i.", 4) == ["abcd", "e", "fghi"]
        assert self.cut("a. b. c. d.", 3) == ["abc", "d"]

    def test_long_sentences_are_cut(self):
        assert self.cut("a b c d e f g. h.", 3) == ["abc", "def", "gh"]

    def test_a_point_inside_a_word_ends_nothing(self):
        assert self.cut("a 3.5 c d", 2) == ["a3", "cd"]

    def test_weights_are_the_lengths(self):
        mean = np.array([0.75, 0.25])
        np.testing.assert_allclose(joined([unit(1, 0), unit(0, 1)], [3, 1]), mean / np.linalg.norm(mean), rtol=1e-6)
        alone = unit(1, 2)
        assert joined([alone], [0]) is alone


def test_every_size_of_whisper_can_be_named():
    for size in whisper_files.SIZES:
        assert set(Transcripts(f"whisper-{size}").weights()) == {
            *whisper_files.weights_of(size).values(), "silero_vad_16k",
        }  # fmt: skip
