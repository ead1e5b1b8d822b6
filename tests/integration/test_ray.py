"""The same numbers on a Ray cluster as in this process; needs the extra ``vidchatbench[ray]``."""

from __future__ import annotations

from pathlib import Path

import pytest

import vidchatbench as vcb
from vidchatbench.demo import DemoPaths

METRICS = ["video_quality/psnr", "video_quality/steadiness", "voice/resemblyzer"]


def test_ray_gives_the_same_numbers(demo: DemoPaths, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed (the extra 'ray')")
    runs = {}
    for engine in ("local", "ray"):
        config = vcb.RunConfig(engine=engine, workers=1, store=tmp_path / f"store_{engine}")
        out = tmp_path / engine
        runs[engine] = vcb.evaluate(
            demo.systems["shifted"], benchmark=demo.benchmark, metrics=METRICS, out=out, config=config
        )
    ray.shutdown()
    assert runs["ray"].run.engine == "ray"
    assert runs["ray"].metrics == runs["local"].metrics
    assert runs["ray"].run.features_extracted == runs["local"].run.features_extracted


def test_without_ray_the_way_out_is_named(demo: DemoPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    config = vcb.RunConfig(engine="ray", store=tmp_path / "store")
    with pytest.raises(vcb.UnavailableError, match=r"pip install 'vidchatbench\[ray\]'"):
        vcb.evaluate(
            demo.systems["oracle"], benchmark=demo.benchmark, metrics=METRICS, out=tmp_path / "run", config=config
        )
