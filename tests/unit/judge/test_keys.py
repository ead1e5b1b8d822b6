"""Keys of what 0.1.0 has stored: with other keys, everything would be asked and paid for again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from judge_server import JudgeServer

from vidchatbench.api import ExtractorSpec, Sample, SampleNotes, Side
from vidchatbench.api.judging import JudgeRequest
from vidchatbench.api.samples import LadderStep, Turn
from vidchatbench.curation.ladder.prompts import BUILD_SHA256, CHECK_SHA256
from vidchatbench.engine.extraction.sample_pass import read_content
from vidchatbench.engine.features.keys import describe_extractor, sample_key
from vidchatbench.judge.calibration import baseline_path, choose_calibration, score_calibration
from vidchatbench.judge.connect import connect_judge
from vidchatbench.judge.panel import Panel
from vidchatbench.judge.rubric import PROMPT_SHA256
from vidchatbench.plugins.catalogue import load_catalogue

MakePanel = Callable[..., Panel]

SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s", transcript="How are you?")
SAMPLE = Sample(
    id="x",
    task="dialogue",
    language="en",
    initiator=SIDE,
    history=(Turn(role="responder", transcript="Hi."),),
    ladder=tuple(LadderStep(text=f"It is grade{level}.", score=level / 5) for level in range(1, 6)),
)


def stored(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.rglob("*.json"))


def test_prompts() -> None:
    assert PROMPT_SHA256 == "e148f8566fa545a6fb4e1599c2996833366d3bb117c955b2e1e366b6a5927032"
    assert BUILD_SHA256 == "198ae3b0a7f8a51abb914e6dad1951bca11a7309ecd831daebe21691230b9cef"
    assert CHECK_SHA256 == "0de62666b68fbc4bbad911913c1e003145cf4532eca5707dd70bfa877bef7724"


def test_the_feature_of_a_judged_reply() -> None:
    name = connect_judge("http://localhost:1/v1#pinned,http://localhost:2/v1#other")
    catalogue = load_catalogue()
    extractor = catalogue.extractor(
        ExtractorSpec.of("dialogue/judge_scores", judge=name, transcripts="given", frames=0)
    )
    content = read_content(extractor, SAMPLE, SampleNotes(given_transcript="Fine."))  # type: ignore[arg-type]
    assert content is not None
    key = sample_key(describe_extractor(extractor, catalogue), content, {})
    assert key == "bf37608b8d67bfc56f74c0bbaa5b79ec56cfe8104d7fd9dbadd557f798930d2c"


def test_answers(server: JudgeServer, make_panel: MakePanel, tmp_path: Path) -> None:
    panel = make_panel(repeats=2, seed=3)
    history = (("initiator", "Hi."),)
    list(panel.score([JudgeRequest("s", "en", "How was your day?", "It was grade3.", history, (b"jpeg",))]))
    assert stored(tmp_path / "judge" / "responses") == [
        "9b035459a3ffea108f38a48ccb8dcce9f84b386ed88cbe8a5ee2dfa2133a910b",
        "e53c00a868abfa644729812b47af3f9995cd5779119067e58883f95a2022a1ec",
    ]


def test_calibration(server: JudgeServer, make_panel: MakePanel, tmp_path: Path) -> None:
    panel = make_panel()
    chosen = choose_calibration([SAMPLE])
    score_calibration(panel, chosen, "run", "before")
    (first, *_) = stored(tmp_path / "judge" / "responses")
    assert first == "565c80797a7202e886e7c56ae97a5df43d5b37fdd3c683afba54ecae357650f8"
    name = "a9b594f285384ed07af2d3290209b9fd892e64fc58a5902455083fdfdad9c9e9.json"
    assert baseline_path(panel, chosen, 0) == tmp_path / "judge" / "baselines" / name
