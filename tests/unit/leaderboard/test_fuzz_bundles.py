"""Whatever lies in a bundle, verifying it ends with findings: never with a traceback, and never with the process."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bundle_mutations import mutate
from leaderboard_bundles import Plan, make_benchmark, make_bundle, make_run, seal

from vidchatbench.benchmark.format import Benchmark
from vidchatbench.leaderboard.build import build_leaderboard
from vidchatbench.leaderboard.verification.bundle import BUNDLE_FILE, FILES, SIGNATURE_FILE
from vidchatbench.leaderboard.verification.findings import Finding
from vidchatbench.leaderboard.verification.verify import verify_bundle
from vidchatbench.plugins.catalogue import load_catalogue

NAMES = (*FILES, BUNDLE_FILE, SIGNATURE_FILE)
SIGNATURE = b'{"messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}, "signature": "AAAA"}}'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Benchmark, Path]:
    root = tmp_path_factory.mktemp("world")
    benchmark = make_benchmark(root / "benchmark")
    run = make_run(root / "run", benchmark, Plan(missing=(3,), invalid=(4,)))
    bundle = make_bundle(root, run)
    (bundle / SIGNATURE_FILE).write_bytes(SIGNATURE)
    return benchmark, bundle


def damage(bundle: Path, name: str, seed: int) -> list[tuple[str, bytes]]:
    """Changes a file; returns what was there before."""
    draw = random.Random(f"{name} {seed}")
    before = [(other, (bundle / other).read_bytes()) for other in (name, BUNDLE_FILE)]
    (bundle / name).write_bytes(mutate((bundle / name).read_bytes(), draw))
    if name in FILES:
        seal(bundle)  # as a forger would
    return before


def check(world: tuple[Benchmark, Path], name: str, seed: int) -> list[Finding]:
    benchmark, bundle = world
    before = damage(bundle, name, seed)
    try:
        findings = verify_bundle(bundle, benchmark=benchmark)
    finally:
        for other, content in before:
            (bundle / other).write_bytes(content)
    assert "not_verified" not in {finding.code for finding in findings}, (name, seed, findings)
    assert all(len(finding.message) < 2_000 for finding in findings), (name, seed, findings)
    return findings


@pytest.mark.parametrize("name", NAMES)
def test_random_damage_ends_with_findings(world: tuple[Benchmark, Path], name: str) -> None:
    assert sum(bool(check(world, name, seed)) for seed in range(20)) > 5, "most damage is noticed"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_much_random_damage_ends_with_findings(world: tuple[Benchmark, Path], name: str) -> None:
    for seed in range(20, 1_000):
        check(world, name, seed)


def test_a_column_of_an_unknown_codec_is_a_finding(world: tuple[Benchmark, Path]) -> None:
    # SNAPPY is written as 2; codec 18, written as 36, is one that the C++ reader does not survive.
    benchmark, bundle = world
    path = bundle / "samples.parquet"
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = [k for k in range(footer, len(content) - 8) if content[k - 1 : k + 1] == b"\x15\x02"]
    assert len(places) >= 10
    try:
        messages = []
        for place in (places[0], places[len(places) // 2], places[-1], *places[1:6]):
            path.write_bytes(content[:place] + b"\x24" + content[place + 1 :])
            seal(bundle)
            messages += [f.message for f in verify_bundle(bundle, benchmark=benchmark) if f.code == "unreadable"]
    finally:
        path.write_bytes(content)
        seal(bundle)
    assert any("ends the reader" in message for message in messages), messages
    codes = {f.code for f in verify_bundle(bundle, benchmark=benchmark) if f.severity == "error"}
    assert codes == {"bad_signature"}, "the next table is read as if nothing had happened"


def test_a_damaged_bundle_does_not_stop_the_board(world: tuple[Benchmark, Path], tmp_path: Path) -> None:
    benchmark, _ = world
    for k, name in enumerate(FILES):
        bundle = make_bundle(tmp_path, make_run(tmp_path / f"run {k}", benchmark, Plan(name=f"Damaged {k}")))
        (bundle / name).write_bytes(b"\x00\xff" * 500)
        seal(bundle)
    make_bundle(tmp_path, make_run(tmp_path / "run", benchmark, Plan()))
    built = build_leaderboard(tmp_path, benchmark, load_catalogue(), suite="lite", draws=20)
    assert [row.id for row in built.board.rows] == ["ours@v1"]
    assert len(built.board.left_out) == len(FILES)
