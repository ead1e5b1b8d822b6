"""Recognisers are told the language that the manifest names; they guess where it names none, and the details say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidchatbench.api import ExtractorSpec, Feature, Metric, Need, Role, Sample, SampleNotes, Side
from vidchatbench.api.samples import LadderStep
from vidchatbench.engine.extraction.jobs import ClipSource
from vidchatbench.engine.features.memory import MemoryStore
from vidchatbench.engine.plan import Inputs, Planner
from vidchatbench.judge.connect import connect_judge
from vidchatbench.media.memory import MemoryClip
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.submission.check import Output
from vidchatbench_metrics.dialogue.judge_metrics import Judgement
from vidchatbench_metrics.dialogue.ladder import LadderClip, LadderEmbed
from vidchatbench_metrics.dialogue.transcription.endpoint_transcript import EndpointTranscript
from vidchatbench_metrics.dialogue.transcription.languages import LANGUAGES, whisper_language
from vidchatbench_metrics.dialogue.transcription.whisper_transcript import WhisperTranscript
from vidchatbench_metrics.dialogue.wer import Cer, Wer

TOLD = [
    ("en", "en"),
    ("EN-gb", "en"),
    ("en_US", "en"),
    ("eng", "en"),
    ("English", "en"),
    ("zh-Hans-CN", "zh"),
    ("cmn", "zh"),
    ("yue", "yue"),
    ("fil", "tl"),
    ("nb-NO", "no"),
    ("jv", "jw"),
    ("iw", "he"),
    ("und", None),
    ("", None),
    (" ", None),
    ("mul", None),
    ("zxx", None),
    ("x-klingon", None),
    ("ga", None),  # Whisper knows no Irish
    ("enx", None),
]


@pytest.mark.parametrize(("language", "code"), TOLD)
def test_names_of_a_language_are_one(language: str, code: str | None) -> None:
    assert whisper_language(language) == code
    for kind in (WhisperTranscript, EndpointTranscript):
        assert kind(language=language).spec == kind(language=code).spec
    assert WhisperTranscript(language=None).spec == WhisperTranscript().spec


def test_the_codes_are_whispers() -> None:
    tokenizer = pytest.importorskip("faster_whisper.tokenizer")
    assert set(tokenizer._LANGUAGE_CODES) == LANGUAGES


def sample(name: str, language: str) -> Sample:
    side = Side(media="m.mp4", sha256="0" * 64, speaker_id=name, transcript="How are you?")
    ladder = (LadderStep(text="bad", score=0.2), LadderStep(text="good", score=1.0))
    return Sample(id=name, task="dialogue", language=language, initiator=side, ladder=ladder)


def asked(metric: Metric, *languages: str) -> list[object]:
    """The language of each transcript that is to be made of one and the same clip."""
    made = MemoryClip.of(
        np.zeros((30, 8, 8, 3), np.uint8), fps=25, sound=np.zeros(16_000, np.float32), sample_rate=16_000
    )
    clip = ClipSource("clip", made.describe(), made)
    samples = [sample(f"s{k}", language) for k, language in enumerate(languages)]
    plan = Planner(
        Inputs(
            samples,
            {one.id: Output(Path(one.id), clip.info) for one in samples},
            {(one.id, role): clip for one in samples for role in (Role.CANDIDATE, Role.INITIATOR)},
            notes={one.id: SampleNotes(declared_transcript="hello") for one in samples},
        ),
        load_catalogue(),
        MemoryStore(),
    ).build([metric])
    specs = [request.spec for job in plan.jobs for request in job.requests if request.spec.id.startswith("dialogue/")]
    return sorted((dict(spec.params)["language"] for spec in specs), key=str)


@pytest.mark.parametrize("metric", [LadderClip, LadderEmbed, Wer, Cer, Judgement])
@pytest.mark.parametrize("transcripts", ["whisper-large-v3", "endpoint:http://localhost:1/v1#m"])
def test_the_manifest_says_which_language_to_listen_for(metric: type[Metric], transcripts: str) -> None:
    judge = {"judge": connect_judge("http://localhost:1/v1#spoken")} if metric is Judgement else {}
    made = metric(transcripts=transcripts, **judge)
    assert asked(made, "en", "en-GB", "eng") == ["en"], "one language is listened for once"
    if metric in {Cer, Judgement}:
        assert asked(made, "en", "de", "und", "ga") == [None, "de", "en"]


def test_the_key_of_a_guess_is_the_old_one() -> None:
    """What earlier releases stored was a guess; it is still found where there still is one."""
    (before,) = {WhisperTranscript().spec, WhisperTranscript(language="und").spec}
    assert before == ExtractorSpec.of("dialogue/transcript", model="large-v3", language=None)


def test_a_need_without_a_language_is_the_same_in_every_language() -> None:
    need = Need("x", ExtractorSpec.of("a/b", fps=5), (Role.CANDIDATE,))
    assert need.spoken_in("de") is need


HEARD = Feature(
    {}, {"status": "ok", "text": "hello", "language": "cy", "language_probability": 0.31, "speech_seconds": 2.0}
)


@pytest.mark.parametrize("metric", [LadderClip, Wer, Cer, Judgement])
def test_language_and_probability_stand_in_the_details(metric: type[Metric]) -> None:
    one = np.array([1.0, 0.0], np.float32)
    ladder = {"reply": one, "ladder": np.stack([one, one[::-1]]), "grade": np.array([0.2, 1.0])}
    names = ("judges", "answered_by", "fingerprints", "format", "prompt_sha256", "seed", "temperature", "reply_words")
    judged = dict.fromkeys((*names, "cut", "not_taken", "tokens_estimated", "reasons"), "x")
    features = {
        "declared": Feature({}, {"status": "ok", "text": "hello"}),
        "transcript": HEARD,
        "embeddings": Feature(ladder, {"status": "ok", "tokens": 1, "pieces": 1}),
        "judged": Feature(
            {"scores": np.full((1, 2, 5), 3, np.int8), "tokens": np.ones((1, 2), np.int64)}, {"status": "ok", **judged}
        ),
    }
    for heard, told in ((HEARD, {"language": "cy", "language_probability": 0.31}), (None, {})):
        if heard is None and metric in {Wer, Cer}:
            continue
        given = {name: feature for name, feature in features.items() if heard is not None or name != "transcript"}
        details = metric().score(sample("a", "en"), given).details
        assert {name: details[name] for name in details if name.startswith("language")} == told
