"""Text encoders against transformers' own, and a tiny random Whisper through the real code; no weights are needed.

Tolerance: 1e-6 absolute on vectors of length 1, against 1e-3 of the specification. The same network runs in float32 on
both sides; the reference fills texts to one length, which changes the order of additions.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from vidchatbench.api import SAMPLE_RATE, Audio, ExtractorContext, Feature, Sample, SampleInput, SampleNotes, Side
from vidchatbench_metrics import dialogue, speech
from vidchatbench_metrics.dialogue.ladder import LadderClip, LadderEmbed
from vidchatbench_metrics.dialogue.ladder_embeddings import ClipLadder, SentenceLadder
from vidchatbench_metrics.dialogue.text_clip import ClipText
from vidchatbench_metrics.dialogue.text_embedding import SentenceText
from vidchatbench_metrics.dialogue.transcription.whisper_files import SIZES, weights_of
from vidchatbench_metrics.dialogue.transcription.whisper_transcript import WhisperTranscript
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.speech.silero import SileroSpeech

TOLERANCE = 1e-6
SHARED = Path(__file__).resolve().parents[2].parent / "shared"
TEXTS = (
    "Sure, the train leaves at nine.",
    "I don't know   what you MEAN!",
    "Bananas.",
    "",
    "It's 3.5 miles; café, naïve, 你好.",
)
LADDER = (("Bananas.", 0.2), ("Maybe.", 0.4), ("The train.", 0.6), ("Trains leave at nine.", 0.8), (TEXTS[0], 1.0))
LONG = " ".join(f"Sentence number {n} is about trains." for n in range(40))


@pytest.fixture(scope="module", autouse=True)
def _torchvision():
    import_torchvision()


def byte_alphabet() -> list[str]:
    """The letters that stand for bytes in byte-level BPE."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """transformers' CLIP tokenizer and seeded text network, and files of both for ours."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = byte_alphabet()
    merges = [("t", "r"), ("tr", "a"), ("tra", "in</w>"), ("i", "n</w>"), ("t", "h"), ("th", "e</w>"), ("n", "i")]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary), hidden_size=128, intermediate_size=96, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=24, hidden_act="quick_gelu",
        eos_token_id=vocabulary["<|endoftext|>"],
    )  # fmt: skip
    network = CLIPTextModelWithProjection(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    # A file of the whole CLIP holds the other tower as well.
    save_file({**state, "logit_scale": torch.ones(1), "vision_model.x": torch.ones(1)}, folder / "clip.safetensors")
    return tokenizer, network, folder / "clip.safetensors", folder / "tokenizer.json"


@pytest.fixture(scope="module")
def sentence(tmp_path_factory):
    """transformers' BERT tokenizer and seeded network, and files of both for ours."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("sentence")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,!?;'"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"] + ["train", "the", "##s", "sentence"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertTokenizer(vocab=vocabulary)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(6)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=80, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512,
    )  # fmt: skip
    network = BertModel(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "bert.safetensors")
    return tokenizer, network, folder / "bert.safetensors", folder / "tokenizer.json"


class TestClip:
    @pytest.mark.parametrize("text", TEXTS)
    def test_tokens_and_vector(self, clip, text):
        import torch

        tokenizer, network, weights, file = clip
        ours = ClipText(weights, file, "cpu")
        filled = tokenizer(text, padding="max_length", max_length=77, return_tensors="pt")
        found = ours.tokens(text)
        length = int(filled["attention_mask"].sum())
        assert [ours._marks[0], *found, ours._marks[1]] == filled["input_ids"][0, :length].tolist()
        with torch.inference_mode():
            reference = network(input_ids=filled["input_ids"]).text_embeds[0]
        reference = (reference / reference.norm()).numpy()
        made = ours(text)
        assert (made.tokens, made.pieces) == (len(found), 1)
        np.testing.assert_allclose(made.vector, reference, atol=TOLERANCE, rtol=0)

    def test_long_texts_are_the_mean_of_their_pieces(self, clip):
        import torch

        tokenizer, network, weights, file = clip
        ours = ClipText(weights, file, "cpu")
        sentences = [part if part.endswith(".") else f"{part}." for part in LONG.split(". ")]
        counts = [len(ours.tokens(text)) for text in sentences]
        groups: list[list[int]] = [[]]
        for number, count in enumerate(counts):
            if sum(counts[n] for n in groups[-1]) + count > 75:
                groups.append([])
            groups[-1].append(number)
        total = np.zeros(24)
        for group in groups:
            ids = tokenizer(" ".join(sentences[n] for n in group), return_tensors="pt")["input_ids"]
            assert ids.shape[1] <= 77
            with torch.inference_mode():
                vector = network(input_ids=ids).text_embeds[0]
            total += (vector / vector.norm()).numpy() * (ids.shape[1] - 2)
        made = ours(LONG)
        assert (made.pieces, made.tokens) == (len(groups), sum(counts))
        assert made.pieces > 3
        np.testing.assert_allclose(made.vector, total / np.linalg.norm(total), atol=TOLERANCE, rtol=0)

    def test_another_network_is_refused(self, clip, sentence):
        with pytest.raises(ValueError, match="not of CLIP's text network"):
            ClipText(sentence[2], clip[3], "cpu")
        with pytest.raises(ValueError, match="has no token"):
            ClipText(clip[2], sentence[3], "cpu")


class TestSentence:
    @pytest.mark.parametrize("text", TEXTS)
    def test_vector(self, sentence, text):
        import torch

        tokenizer, network, weights, file = sentence
        made = SentenceText(weights, file, "cpu")(text)
        assert made.pieces == 1
        # As sentence-transformers does it: filled, mean over what is not filling, length 1.
        filled = tokenizer(text, padding="max_length", max_length=256, return_tensors="pt")
        with torch.inference_mode():
            states = network(**filled).last_hidden_state
        mask = filled["attention_mask"][..., None]
        mean = ((states * mask).sum(1) / mask.sum(1))[0]
        np.testing.assert_allclose(made.vector, (mean / mean.norm()).numpy(), atol=TOLERANCE, rtol=0)

    def test_another_network_is_refused(self, clip, sentence):
        with pytest.raises(ValueError, match="not of BERT"):
            SentenceText(clip[2], sentence[3], "cpu")


def said(text: str, status: str = "ok") -> Feature:
    return Feature({}, {"text": text, "status": status})


@pytest.mark.parametrize(
    ("extractor", "metric", "network", "source"),
    [(ClipLadder, LadderClip, ClipText, "clip"), (SentenceLadder, LadderEmbed, SentenceText, "sentence")],
)
def test_from_text_to_score(request, extractor, metric, network, source):
    """The score is the grade of the greatest cosine, computed here by hand; order and company change no bit."""
    _, _, weights, file = request.getfixturevalue(source)
    made = extractor()
    made.setup(ExtractorContext("cpu", 1, dict(zip(made.weights, (weights, file), strict=True))))
    sample = Sample.model_validate(
        {
            "id": "a", "task": "dialogue", "language": "en",
            "initiator": Side(media="i.mp4", sha256="0" * 64, speaker_id="i"),
            "ladder": [{"text": text, "score": score} for text, score in LADDER],
        }
    )  # fmt: skip
    content = made.content(sample, SampleNotes())
    replies = ["Trains leave at nine.", "The trains leave at nine o'clock.", LONG, "Bananas!"]
    inputs = [SampleInput(text[:5], content, {"transcript": said(text)}) for text in replies]
    together = dict(made.extract(inputs))
    encoder = network(weights, file, "cpu")
    rows = np.stack([encoder(text).vector for text, _ in LADDER])
    for position, one in enumerate(inputs):
        ((_, alone),) = made.extract([one])
        for name in ("reply", "ladder", "grade"):
            np.testing.assert_array_equal(alone[name], together[position][name])
        cosines = rows.astype(float) @ encoder(replies[position]).vector.astype(float)
        score = metric().score(sample, {"embeddings": alone})
        assert score.value == LADDER[int(np.argmax(cosines))][1]
        assert score.details["cosine"] == pytest.approx(min(1.0, cosines.max()), abs=1e-7)
    assert metric().score(sample, {"embeddings": together[0]}).value == 0.8


def write_whisper_tokenizer(folder: Path, languages: tuple[str, ...]) -> list[str]:
    """Writes a tokenizer of single bytes with Whisper's special tokens, and returns all tokens of the network."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = byte_alphabet()
    tokenizer = Tokenizer(models.BPE(vocab={letter: n for n, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tasks = ("translate", "transcribe", "startoflm", "startofprev", "nocaptions", "notimestamps")
    special = [f"<|{name}|>" for name in ("endoftext", "startoftranscript", *languages, *tasks)]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    return [*letters, *special, *(f"<|{n * 0.02:.2f}|>" for n in range(1501))]


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory):
    """A folder of a random Whisper of two layers, written by CTranslate2's own means; skips without them."""
    pytest.importorskip("faster_whisper", reason="needs the extra [asr]")
    from ctranslate2.specs import whisper_spec
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    folder = tmp_path_factory.mktemp("whisper")
    tokens = write_whisper_tokenizer(folder, tuple(_LANGUAGE_CODES))
    random = np.random.default_rng(3)
    width, heads, layers, mels = 16, 2, 2, 80
    spec = whisper_spec.WhisperSpec(layers, heads, layers, heads)

    def draw(*shape):
        return random.normal(0, 0.2, shape).astype(np.float32)

    def linear(layer, outputs, inputs):
        layer.weight, layer.bias = draw(outputs, inputs), draw(outputs)

    def norm(layer):
        layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def common(part, cross):
        norm(part.layer_norm)
        for layer in part.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            if cross:
                norm(layer.attention.layer_norm)
                for position, outputs in enumerate((width, 2 * width, width)):
                    linear(layer.attention.linear[position], outputs, width)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width, width)
            linear(layer.ffn.linear_1, width, 4 * width)

    common(spec.encoder, cross=False)
    common(spec.decoder, cross=True)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = draw(width, mels, 3), draw(width)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = draw(width, width, 3), draw(width)
    spec.encoder.position_encodings.encodings = draw(1500, width)
    spec.decoder.position_encodings.encodings = draw(448, width)
    spec.decoder.embeddings.weight = draw(len(tokens), width)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.scale_embeddings = False
    spec.register_vocabulary(tokens)
    numbers = {token: number for number, token in enumerate(tokens)}
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.alignment_heads = [(1, 0), (1, 1)]
    spec.config.lang_ids = [numbers[f"<|{code}|>"] for code in _LANGUAGE_CODES]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return folder


class TestTinyWhisper:
    """A network that learnt nothing talks nonsense, but through the real decoder, tokenizer and alignment."""

    def context(self, folder: Path, extractor: WhisperTranscript) -> ExtractorContext:
        given = dict(weights_of("tiny"))
        files = {name: folder / file for file, name in given.items()}
        files[given["vocabulary.txt"]] = folder / "vocabulary.json"
        assert set(files) == set(extractor.weights)
        return ExtractorContext("cpu", 1, files)

    @pytest.fixture
    def extractor(self, tiny_whisper, monkeypatch):
        # CTranslate2 writes the vocabulary as JSON, and reads it by its name.
        names = dict(weights_of("tiny"))
        monkeypatch.setattr(
            "vidchatbench_metrics.dialogue.transcription.whisper_transcript.weights_of",
            lambda _: {("vocabulary.json" if file == "vocabulary.txt" else file): name for file, name in names.items()},
        )
        made = WhisperTranscript(model="tiny")
        made.setup(self.context(tiny_whisper, made))
        yield made
        made.release()

    def hear(self, extractor, samples):
        speech = Feature({}, {"speech_seconds": 1.0, "duration": 1.0})
        return extractor.extract(Audio(samples), {"speech": speech})

    def test_the_same_sound_gives_the_same_words(self, extractor):
        sound = np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
        first, again = (self.hear(extractor, sound) for _ in range(2))
        assert first.meta == again.meta
        for name in first.arrays:
            np.testing.assert_array_equal(first[name], again[name])
        assert first.meta["status"] in {"ok", "hallucinated", "empty"}
        assert len(json.loads(str(first.meta["words"]))) == len(first["word_start"])
        assert (first["word_end"] >= first["word_start"]).all()
        assert 0 <= float(first.meta["language_probability"]) <= 1
        assert first.meta["passages"]

    @pytest.mark.shared
    def test_a_real_clip_with_its_own_speech(self, extractor):
        samples = shared_clip("mini/media/head4.mp4")
        speech = speech_of(samples)
        assert speech.number("speech_seconds") > 0.3
        found = extractor.extract(Audio(samples), {"speech": speech})
        assert found.meta["status"] in {"ok", "hallucinated", "empty"}
        assert found.meta["speech_seconds"] == speech.number("speech_seconds")
        quiet = np.zeros(SAMPLE_RATE, np.float32)
        assert extractor.extract(Audio(quiet), {"speech": speech_of(quiet)}).meta["status"] == "silent"


@pytest.mark.shared
@pytest.mark.weights
@pytest.mark.parametrize("clip", ["dialogue1_responder", "head4", "side1"])
def test_whisper_hears_words_in_real_speech(clip):
    """The largest Whisper that is at hand, on the real clips."""
    pytest.importorskip("faster_whisper", reason="needs the extra [asr]")
    from vidchatbench.plugins.catalogue import load_catalogue
    from vidchatbench.weights.resolver import WeightResolver

    resolver = WeightResolver({**load_catalogue().weights, **{spec.name: spec for spec in dialogue.WEIGHTS}})
    sizes = [size for size in reversed(SIZES) if all(resolver.find(name) for name in weights_of(size).values())]
    if not sizes:
        pytest.skip("no Whisper model is at hand (vidchatbench weights pull whisper_tiny_model ...)")
    samples = shared_clip(f"mini/media/{clip}.mp4")
    extractor = WhisperTranscript(model=sizes[0])
    extractor.setup(ExtractorContext("cpu", 1, {name: resolver.path(name) for name in extractor.weights}))
    found = extractor.extract(Audio(samples), {"speech": speech_of(samples)})
    assert found.meta["status"] == "ok"
    assert len(json.loads(str(found.meta["words"]))) >= 3
    assert (np.diff(found["word_start"]) >= 0).all()


def shared_clip(name: str) -> np.ndarray:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"the shared clip {name} is not beside the checkout")
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    parts = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [np.asarray(out.to_ndarray()[0]) for out in resampler.resample(frame)]
    return np.concatenate(parts)[: 4 * SAMPLE_RATE]


def speech_of(samples: np.ndarray) -> Feature:
    extractor = SileroSpeech()
    (packaged,) = (spec.package for spec in speech.WEIGHTS if spec.name == "silero_vad_16k")
    assert packaged is not None
    found = find_spec(packaged.module)
    if found is None or found.submodule_search_locations is None:
        pytest.skip("silero-vad is not installed")
    path = Path(next(iter(found.submodule_search_locations))) / packaged.file
    extractor.setup(ExtractorContext("cpu", 1, {"silero_vad_16k": path}))
    return extractor.extract(Audio(samples), {})
