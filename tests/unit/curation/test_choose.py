"""Choosing a test set: disjoint, in proportion, the same every time, and honest where there is too little."""

from __future__ import annotations

import inspect
import json
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import typer
from speakervid_made import MadeLists, make_clips, write_archives, write_flat
from typer.testing import CliRunner

from vidchatbench.cli.data_build import build
from vidchatbench.curation.selection.choose import Rules, choose
from vidchatbench.curation.selection.exclusions import Exclusions, read_exclusions
from vidchatbench.curation.selection.schema import Selection, load_selection
from vidchatbench.curation.selection.strata import (
    MAX_TOPICS,
    Stratum,
    empty_cells,
    kept_topics,
    length_of,
    lengths,
    quotas,
)
from vidchatbench.curation.selection.write import write_selection
from vidchatbench.curation.speakervid.index import AnnotationIndex
from vidchatbench.curation.speakervid.lists import read_test_list
from vidchatbench.curation.speakervid.names import ClipName
from vidchatbench.curation.speakervid.pairing import GAP_S, HISTORY_S
from vidchatbench.curation.speakervid.records import parse_record
from vidchatbench.errors import InputError, UsageError
from vidchatbench.report.drawing.distributions import Bar, histogram, share_bars

NO_ONE = Exclusions()


@pytest.fixture(scope="module")
def made():
    return list(make_clips(450, seed=21))


@pytest.fixture(scope="module")
def index(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("choose")
    root = write_archives(folder / "d", made, MadeLists(test=[clip.name for clip in made[:40]]))
    with AnnotationIndex.build(root, folder / "i") as opened:
        yield opened


@pytest.fixture(scope="module")
def videos(index):
    return list(index.videos())


@pytest.fixture(scope="module")
def training(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("lists") / "training.json"
    path.write_text(json.dumps({"any": [f"{clip.name}.json" for clip in made[500:2500:3]]}))
    return path


class TestChoice:
    def test_disjoint_by_speaker_and_by_video(self, videos, training, made):
        choice = choose(videos, Rules(60, tier="all"), read_exclusions([training]))
        trained = [ClipName.parse(clip.name) for clip in made[500:2500:3]]
        published = {clip.name for clip in made[:40]}
        names = [name for one in choice.samples for name in (one.initiator, one.responder)]
        assert len(names) == 120
        for name in names:
            clip = ClipName.parse(name)
            for other in trained:
                assert clip.video_id != other.video_id
                assert clip.speaker_id != other.speaker_id
            assert name not in published
        # Without the list, some of them would have been chosen.
        free = choose(videos, Rules(60, tier="all"), NO_ONE)
        seen = {clip.video_id for clip in trained}
        assert any(ClipName.parse(one.responder).video_id in seen for one in free.samples)

    def test_thresholds_of_the_paper(self, videos, index):
        for one in choose(videos, Rules(25), NO_ONE).samples:
            for name in (one.initiator, one.responder):
                found = index.find(name)
                assert found is not None
                clip = found.record
                assert clip.hand_blur > 0.5
                assert clip.face_blur > 0.7
                assert clip.dover > 0.6
                assert clip.motion > 2
                assert clip.asr_confidence > -1
                assert 2.95 <= clip.duration <= 14.05

    @pytest.mark.parametrize("branch", ["dialogue", "single", "listening", "multi_turn"])
    @pytest.mark.parametrize("most", [1, 2])
    def test_nobody_answers_more_often_than_asked(self, videos, branch, most):
        choice = choose(videos, Rules(40, branch, "all", per_speaker=most), NO_ONE)
        assert len(choice.samples) == len({one.responder for one in choice.samples}) == 40
        who = Counter(one.responder[:11] if branch == "listening" else one.speaker_ids[-1] for one in choice.samples)
        assert max(who.values()) <= most
        assert all((one.initiator is None) is (branch == "single") for one in choice.samples)
        assert all(bool(one.history) is (branch == "multi_turn") for one in choice.samples)

    def test_the_same_whatever_the_order(self, videos):
        rules = Rules(30, tier="all", seed=4)
        first = choose(videos, rules, NO_ONE)
        for seed in range(3):
            assert choose(random.Random(seed).sample(videos, len(videos)), rules, NO_ONE) == first
        other = choose(videos, Rules(30, tier="all", seed=5), NO_ONE)
        assert {one.responder for one in other.samples} != {one.responder for one in first.samples}

    def test_strata_keep_their_proportions(self, videos):
        choice = choose(videos, Rules(120, tier="all"), NO_ONE)
        total = sum(choice.eligible.values())
        assert Counter(one.stratum for one in choice.samples) == Counter(
            {cell: count for cell, count in choice.given.items() if count}
        )
        for axis in range(4):
            eligible, given = Counter(), Counter()
            for cell, count in choice.eligible.items():
                eligible[cell[axis]] += count
                given[cell[axis]] += choice.given[cell]
            for name, count in eligible.items():
                assert abs(given[name] - 120 * count / total) < (1 if axis == 0 else 6)
        assert choice.funnel[-1].left == total

    def test_the_stratum_is_that_of_the_clip(self, videos, index):
        for one in choose(videos, Rules(30, tier="all"), NO_ONE).samples:
            clip = index.find(one.responder).record
            assert one.stratum == Stratum(clip.framing, clip.view, clip.topic, length_of(clip.duration))

    def test_the_funnel_counts_what_each_rule_leaves(self, videos, training, index):
        exclusions = read_exclusions([training])
        choice = choose(videos, Rules(5), exclusions)
        left = [row.left for row in choice.funnel]
        assert left == sorted(left, reverse=True)
        rows = {row.rule: row.left for row in choice.funnel}
        pairs = defaultdict(int)
        from vidchatbench.curation.speakervid.branches import SpeakerVid

        for item in SpeakerVid(index).iterate("dialogue"):
            pairs["all"] += 1
            pairs["unseen"] += item.responder.name.video_id not in exclusions.videos
        assert rows["samples of the branch dialogue"] == pairs["all"]
        assert rows["source video not in a training list"] <= pairs["unseen"]

    def test_too_few_is_an_error_with_the_funnel(self, videos, training):
        with pytest.raises(InputError) as caught:
            choose(videos, Rules(5000), read_exclusions([training]))
        told = str(caught.value)
        for rule in (
            "samples of the branch dialogue", "speakers not in a training list", "source video not in a training list",
            "sharpness of the hands > 0.5", "sharpness of the face > 0.7", "DOVER > 0.6", "motion > 2",
            "ASR confidence > −1", "at most 1 sample a responder",
        ):  # fmt: skip
            assert rule in told
        assert "--tier all" in told
        left = int(told.partition(" are eligible")[0].split()[-1])
        assert f"--n {left}" in told
        assert len(choose(videos, Rules(left), read_exclusions([training])).samples) == left

    @pytest.mark.parametrize(
        "wrong", [{"n": 0}, {"n": 1, "per_speaker": 0}, {"n": 1, "branch": "x"}, {"n": 1, "tier": "x"}]
    )
    def test_what_means_nothing(self, wrong):
        with pytest.raises(UsageError):
            Rules(**wrong)


class TestExclusions:
    def test_every_form(self, tmp_path):
        path = tmp_path / "list.txt"
        path.write_text("abcdefghijk\nABCDEFGHIJK:A\nBK6_XIz6-ZE_1920x1080_full_video_042_B_01.json\n")
        found = read_exclusions([path])
        assert found.videos == {"abcdefghijk", "ABCDEFGHIJK", "BK6_XIz6-ZE"}
        assert found.speakers == {"ABCDEFGHIJK:A", "BK6_XIz6-ZE:B"}
        assert (found.lists[0].file, found.lists[0].n_speakers, found.lists[0].n_videos) == ("list.txt", 2, 3)

    def test_several_lists_add_up(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).write_text(f"{name}bcdefghijk")
        found = read_exclusions([tmp_path / "a", tmp_path / "b"])
        assert found.videos == {"abcdefghijk", "bbcdefghijk"}
        assert read_exclusions([]) == NO_ONE

    @pytest.mark.parametrize("text", ["", "[]", '["no clip"]', "abcdefghijk\nsomething else\n", '{"a": ["abcdefghijk"'])
    def test_a_list_that_proves_nothing_is_an_error(self, tmp_path, text):
        path = tmp_path / "list"
        path.write_text(text)
        with pytest.raises(InputError):
            read_exclusions([path])


class TestQuotas:
    def test_property_in_proportion_at_every_depth(self):
        rng = random.Random(3)
        for _ in range(300):
            cells = {Stratum(*(rng.choice("abc") for _ in range(4))) for _ in range(rng.randint(1, 40))}
            counts = {cell: rng.randint(1, 40) for cell in sorted(cells)}
            total = sum(counts.values())
            n = rng.randint(1, total)
            given = quotas(counts, n)
            assert sum(given.values()) == n
            assert all(0 <= given[cell] <= count for cell, count in counts.items())
            for depth in range(5):
                wanted, got = Counter(), Counter()
                for cell, count in counts.items():
                    wanted[cell[:depth]] += n * count / total
                    got[cell[:depth]] += given[cell]
                assert all(abs(got[group] - share) < max(depth, 0.001) for group, share in wanted.items())
            shuffled = dict(rng.sample(list(counts.items()), len(counts)))
            assert quotas(shuffled, n) == given

    def test_what_is_rare_and_scattered_is_not_lost(self):
        # A tenth are of another framing, in cells of which each is too small for a sample of its own.
        counts = {Stratum("half_body", "front", str(k), "l"): 90 for k in range(10)}
        counts |= {Stratum("head", view, str(k), "l"): 5 for k in range(10) for view in ("front", "side")}
        given = quotas(counts, 50)
        assert sum(count for cell, count in given.items() if cell.framing == "head") == 5

    def test_by_hand(self):
        cells = {Stratum("f", "v", name, "l"): count for name, count in (("a", 5), ("b", 3), ("c", 2))}
        assert [quotas(cells, 4)[cell] for cell in cells] == [2, 1, 1]
        with pytest.raises(ValueError, match="11 of 10"):
            quotas(cells, 11)

    def test_empty_cells(self):
        cells = [Stratum("head", "front", "a", "x"), Stratum("head", "side", "b", "x")]
        assert empty_cells(cells) == [Stratum("head", "front", "b", "x"), Stratum("head", "side", "a", "x")]
        assert empty_cells(cells[:1]) == []

    def test_topics_and_lengths(self):
        assert kept_topics(["b", "a", "a", "b", *map(str, range(20))]) == {
            "a",
            "b",
            *sorted(map(str, range(20)))[: MAX_TOPICS - 2],
        }
        assert [length_of(seconds) for seconds in (2.96, 5.0, 7.9, 14.04)] == [lengths()[k] for k in (0, 1, 1, 3)]


@pytest.fixture(scope="module")
def written(tmp_path_factory, index, training):
    out = tmp_path_factory.mktemp("written") / "out"
    exclusions = read_exclusions([training])
    choice = choose(index.videos(), Rules(20), exclusions)
    return out, write_selection(choice, exclusions, index, out), choice


class TestFolder:
    def test_the_pairs_are_a_test_list(self, written):
        out, _, choice = written
        found = read_test_list(out / "pairs.json")
        assert found.form == "pairs"
        assert found.not_understood == ()
        assert [(one.initiator, one.responder) for one in found.entries] == [
            (one.initiator, one.responder) for one in choice.samples
        ]

    def test_single_clips_are_a_list_of_names(self, tmp_path, index):
        choice = choose(index.videos(), Rules(10, "single"), NO_ONE)
        write_selection(choice, NO_ONE, index, tmp_path / "out")
        assert read_test_list(tmp_path / "out" / "pairs.json").form == "names"
        assert "No training list was given" in (tmp_path / "out" / "DATASHEET.md").read_text()

    def test_the_records_are_read_back(self, written, index):
        out, _, choice = written
        records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
        assert {one["name"] for one in records} == {n for one in choice.samples for n in (one.initiator, one.responder)}
        for one in records:
            assert parse_record(**one) == index.find(one["name"]).record

    def test_selection_says_what_decided(self, written):
        out, selection, choice = written
        assert load_selection(out) == selection
        assert (selection.schema_version, selection.n, selection.seed, selection.tier) == (1, 20, 0, "hq")
        assert [(row.rule, row.left) for row in selection.funnel] == [(row.rule, row.left) for row in choice.funnel]
        assert sum(cell.chosen for cell in selection.strata) == 20
        assert len(selection.thresholds) == 5
        assert selection.exclusions[0].file == "training.json"
        with pytest.raises(ValueError, match="extra"):
            Selection.model_validate({**selection.model_dump(), "more": 1})

    @pytest.mark.parametrize("name", ["pairs.json", "records.jsonl"])
    def test_a_changed_file_is_noticed(self, written, tmp_path, name):
        out = Path(shutil.copytree(written[0], tmp_path / "copy"))
        (out / name).write_bytes((out / name).read_bytes() + b"\n")
        with pytest.raises(InputError, match=f"{name} is not the file"):
            load_selection(out)

    def test_the_datasheet_shows_every_plot(self, written):
        out = written[0]
        text = (out / "DATASHEET.md").read_text()
        plots = sorted(path.name for path in (out / "plots").iterdir())
        assert len(plots) == 10
        assert all(f"(plots/{name})" in text for name in plots)
        assert "training.json" in text.replace("\\", "")
        assert (out / "plots" / "framing.svg").read_text().startswith("<?xml")

    def test_the_same_bytes_again(self, written, tmp_path, index, training):
        out = written[0]
        exclusions = read_exclusions([training])
        write_selection(choose(index.videos(), Rules(20), exclusions), exclusions, index, tmp_path / "again")
        for path in sorted(out.rglob("*.*")):
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()

    def test_nothing_is_overwritten(self, written, index):
        out, _, choice = written
        with pytest.raises(UsageError, match="not empty"):
            write_selection(choice, NO_ONE, index, out)
        assert not list(out.parent.glob(".out*"))


class TestCommand:
    def run(self, *arguments):
        app = typer.Typer()
        app.command("build")(build)
        app.command("other")(lambda: None)
        return CliRunner().invoke(app, ["build", *map(str, arguments)])

    def test_it_writes_a_set(self, tmp_path, made, training, private_cache):
        root = write_flat(tmp_path / "d", made[:1000])
        done = self.run(
            root, "--n", 3, "--out", tmp_path / "out", "--tier", "all", "--exclude", training, "--seed", 3, "--json"
        )
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert (told["n"], told["seed"], told["branch"]) == (3, 3, "dialogue")
        assert len(json.loads((tmp_path / "out" / "pairs.json").read_text())) == 3
        table = self.run(root, "--n", 8, "--out", tmp_path / "out2", "--tier", "all", "--branch", "listening")
        assert table.exit_code == 0, table.output
        assert table.stdout == ""
        assert "samples of the branch listening" in table.stderr
        assert "no training list was given" in table.stderr

    def test_mistakes_are_said_before_anything_is_indexed(self, tmp_path, private_cache):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").touch()
        for arguments in (("--out", tmp_path / "full"), ("--out", tmp_path / "new", "--branch", "x")):
            done = self.run(tmp_path, "--n", 5, *arguments)
            assert isinstance(done.exception, UsageError)
        assert not private_cache.exists()

    def test_defaults_are_those_of_the_loader(self):
        given = inspect.signature(build).parameters
        assert (given["gap"].default, given["history"].default) == (GAP_S, HISTORY_S)

    def test_help_has_an_example(self):
        text = self.run("--help").output
        assert "Example: vidchatbench data build" in " ".join(text.split())


class TestPlots:
    def test_bars_are_as_long_as_their_shares(self):
        plot = share_bars("x", "Title", [Bar("a", 3, 50), Bar("b <&>", 1, 50)])
        assert plot.description == "a: 3 of 4 chosen, 50 of 100 eligible; b <&>: 1 of 4 chosen, 50 of 100 eligible"
        assert "b &lt;&amp;&gt;" in plot.document()
        widths = [float(part.partition('"')[0]) for part in plot.body.split('width="')[1:]]
        assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)

    def test_values_on_a_bound_belong_to_the_bin_above(self):
        plot = histogram("x", "Title", [0.0, 0.5, 0.5, 0.9, 1.0, 7.0], (0.0, 0.5, 1.0), unit="s", least=0.5)
        assert plot.description == "6 values; 0 to 0.5 s: 1; 0.5 to 1 s: 5"
        assert "threshold 0.5" in plot.body
