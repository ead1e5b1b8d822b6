"""Parameters that a run chooses: the protocol id follows, and whatever is wrong is said before anything runs."""

from __future__ import annotations

import pytest

from vidchatbench.engine.parameters import read_settings
from vidchatbench.engine.settings import RunConfig
from vidchatbench.engine.suites import MetricChoice, choose_metrics
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import load_catalogue


def choose(*settings: str, suite: str = "lite", ids: list[str] | None = None, asr: str | None = None) -> MetricChoice:
    return choose_metrics(load_catalogue(), suite, ids, params=read_settings(settings), asr=asr)


def protocols(choice: MetricChoice) -> dict[str, str]:
    return {metric.card.id: metric.card.protocol for metric in choice.metrics}


def test_the_protocol_follows_and_the_rest_stays() -> None:
    plain, varied = choose(), choose("video_quality/psnr.fps=10", "dialogue/wer.transcripts=whisper-tiny")
    changed = {name for name, protocol in protocols(varied).items() if protocol != protocols(plain)[name]}
    assert changed == {"video_quality/psnr", "dialogue/wer"}
    assert protocols(varied)["dialogue/wer"] == "wer/whisper-tiny-v1"
    assert "10fps" in protocols(varied)["video_quality/psnr"]


def test_a_suite_that_is_varied_is_no_longer_that_suite() -> None:
    assert choose().suite.name == "lite"
    # What the suite says already varies nothing.
    assert choose("video_quality/psnr.fps=5").suite.name == "lite"
    assert (choose("video_quality/psnr.fps=10").suite.name, choose("video_quality/psnr.fps=10").suite.version) == (
        "custom",
        0,
    )


def test_one_size_of_whisper_for_every_metric_with_transcripts() -> None:
    choice = choose(asr="tiny.en")
    heard = {name: protocol for name, protocol in protocols(choice).items() if "whisper" in protocol}
    assert set(heard) >= {"dialogue/wer", "dialogue/ladder_embed", "dialogue/contingency"}
    assert all("whisper-tiny.en" in protocol for protocol in heard.values())
    # One that is set by itself keeps that.
    own = protocols(choose("dialogue/wer.transcripts=whisper-small", asr="tiny.en"))
    assert (own["dialogue/wer"], "tiny.en" in own["dialogue/contingency"]) == ("wer/whisper-small-v1", True)
    assert choose(asr="base").suite.name == "lite"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["fps=5"], "takes METRIC.PARAM=VALUE"),
        (["video_quality/psnr.fps"], "takes METRIC.PARAM=VALUE"),
        (["video_quality/psnr=5"], "takes METRIC.PARAM=VALUE"),
        (["video_quality/psnr.fps=5", "video_quality/psnr.fps=6"], "video_quality/psnr.fps twice"),
        (["psnr.fps=5"], "there is no metric 'psnr'; did you mean 'video_quality/psnr'"),
        (["video_quality/psnr.fsp=5"], "has no parameter 'fsp'; did you mean 'fps'? (it has: fps"),
        (["video_quality/psnr.fps=many"], "video_quality/psnr.fps must be a number, not 'many'"),
        (["video_quality/psnr.fps=nan"], "must be finite"),
        (["dialogue/wer.transcripts=whisper-huge"], "there is no Whisper model 'huge'"),
        (["voice/utmos.network=x"], "'voice/utmos' are given, which is not among the metrics chosen"),
    ],
)
def test_what_is_wrong_is_said(settings: list[str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        choose(*settings)
    assert said in str(raised.value)


def test_values_of_python_are_checked_like_texts() -> None:
    catalogue = load_catalogue()

    def protocol(value: str | float | bool | None) -> str:
        choice = choose_metrics(
            catalogue, "lite", ["video_quality/psnr"], params={"video_quality/psnr": {"fps": value}}
        )
        return choice.metrics[0].card.protocol

    assert protocol(10) == protocol(10.0) == protocol("10")
    for wrong in (True, None):
        with pytest.raises(UsageError, match="must be a number"):
            protocol(wrong)
    with pytest.raises(UsageError, match="must be text"):
        choose_metrics(catalogue, "lite", None, params={"dialogue/wer": {"transcripts": 3}})


def test_asr_is_for_dialogue_and_not_beside_transcripts(tmp_path: object) -> None:
    with pytest.raises(UsageError, match="none of them is among those chosen"):
        choose(ids=["video_quality/psnr"], asr="base")
    with pytest.raises(UsageError, match="give one of them"):
        RunConfig(asr="base", transcripts=tmp_path)  # type: ignore[arg-type]
