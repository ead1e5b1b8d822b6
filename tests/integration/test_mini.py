"""Real people: the shared mini benchmark, with an oracle, a shuffled submission and the paper's own outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import vidchatbench as vcb
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench.weights.resolver import WeightResolver

pytestmark = pytest.mark.shared

PAIRED = ("video_quality/psnr", "video_quality/ssim", "video_quality/duration_ratio", "voice/resemblyzer")
Values = dict[tuple[str, str], float | None]


@pytest.fixture(scope="module")
def mirror(shared_mini: Path) -> Path:
    return shared_mini.parent / "weights"


@pytest.fixture(scope="module")
def root(shared_mini: Path, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the lite suite on three systems, in folders ``run_<system>``."""
    root = tmp_path_factory.mktemp("mini")
    benchmark = vcb.load_benchmark(shared_mini)
    replied = [sample for sample in benchmark if sample.responder is not None]
    for name, shift in (("oracle", 0), ("shuffled", 1)):
        (root / name).mkdir()
        for place, sample in enumerate(replied):
            giver = replied[(place + shift) % len(replied)].responder
            assert giver is not None
            shutil.copyfile(benchmark.media(giver.media), root / name / f"{sample.id}.mp4")
    systems = [root / "oracle", root / "shuffled", shared_mini / "outputs" / "paper_baseline"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(mirror))
        for folder in systems:
            config = vcb.RunConfig(store=root / "store")
            vcb.evaluate(folder, benchmark=shared_mini, out=root / f"run_{folder.name}", config=config)
    return root


def values(root: Path, system: str) -> Values:
    rows = pq.read_table(root / f"run_{system}" / "samples.parquet").to_pylist()
    return {(row["sample_id"], row["metric"]): row["value"] for row in rows}


def test_every_metric_of_the_suite_ran_whose_weights_are_here(root: Path) -> None:
    for system in ("oracle", "shuffled", "paper_baseline"):
        results = vcb.load_results(root / f"run_{system}")
        assert {entry.id.partition("/")[0] for entry in results.unavailable} <= {"dialogue", "av_sync"}
        assert results.complete == (not results.unavailable)
        assert len(results.metrics) + len(results.unavailable) == len(load_catalogue().suite("lite").metrics)


def test_the_oracle_reaches_the_ideal_of_every_paired_metric(root: Path) -> None:
    results = vcb.load_results(root / "run_oracle")
    for name in PAIRED:
        ideal = load_catalogue().metric(name).card.ideal
        assert results.metric(name).value == ideal, name
        assert results.metric(name).n_ok == 5
        assert results.metric(name).n_not_applicable == 2


def test_a_file_is_decoded_for_its_window_and_through_it_and_never_again(root: Path) -> None:
    oracle, shuffled = (vcb.load_results(root / f"run_{name}").run.decode_passes for name in ("oracle", "shuffled"))
    # The oracle's outputs are the references themselves; generated initiators have no window.
    assert max(oracle.values()) == 2
    assert set(shuffled.values()) == {1}


def test_somebody_elses_reply_is_worse_for_every_sample(root: Path) -> None:
    oracle, shuffled = values(root, "oracle"), values(root, "shuffled")
    compared = 0
    for (sample, metric), value in oracle.items():
        other = shuffled[sample, metric]
        if metric in {"identity/arcface", "voice/resemblyzer"} and value is not None:
            assert other is not None
            assert other < value, (sample, metric)
            compared += 1
    assert compared == 10


def test_the_papers_outputs_are_scored_where_they_can_be(root: Path) -> None:
    results = vcb.load_results(root / "run_paper_baseline")
    psnr = results.metric("video_quality/psnr")
    # Its two inputs have no real reply, and it offers nothing for the five that have one.
    assert (psnr.n_ok, psnr.n_failed, psnr.n_not_applicable) == (0, 5, 2)
    assert psnr.value == 0.0
    presence = results.metric("video_quality/face_presence")
    assert (presence.n_ok, presence.n_failed) == (2, 5)
    assert presence.coverage == pytest.approx(2 / 7)


def test_any_network_of_the_interface_can_be_named_by_its_hash(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDCHATBENCH_WEIGHTS_DIR", str(mirror))
    table = load_catalogue().weights
    name = f"sha256:{table['arcface_mobilefacenet'].sha256}"
    assert WeightResolver(table).path(name).suffix == ".onnx"
    card = load_catalogue().metric("identity/arcface", network=name, fps=2).card
    assert card.protocol.startswith("arcface/onnx-b7120c095d60")
