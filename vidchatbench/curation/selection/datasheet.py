"""The datasheet of a chosen test set: its composition, how it was chosen, its limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from vidchatbench.curation.selection.choose import Choice
from vidchatbench.curation.selection.schema import Selection
from vidchatbench.curation.selection.strata import OTHER_TOPIC, UNKNOWN, Stratum, lengths
from vidchatbench.curation.speakervid.index import IndexedClip
from vidchatbench.curation.speakervid.quality import MAX_SECONDS
from vidchatbench.curation.speakervid.records import ClipRecord
from vidchatbench.report.drawing.distributions import Bar, histogram, share_bars
from vidchatbench.report.drawing.svg import Plot
from vidchatbench.report.drawing.text import plural, words

_ORDER = ("head", "half_body", "full_body", "front", "side", "back")
_LAST = (OTHER_TOPIC, UNKNOWN)
_SCORES: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("dover", "DOVER quality of the chosen clips", tuple(round(0.05 * k, 2) for k in range(21))),
    ("face_blur", "Sharpness of the faces", tuple(round(0.05 * k, 2) for k in range(21))),
    ("hand_blur", "Sharpness of the hands", tuple(round(0.05 * k, 2) for k in range(21))),
    ("asr_confidence", "ASR confidence (mean log probability)", tuple(round(-1.5 + 0.1 * k, 1) for k in range(16))),
    ("motion", "Intensity of motion", (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)),
)
_SECONDS = tuple(float(k) for k in range(int(MAX_SECONDS) + 2))
_MAX_LANGUAGES = 12
_ABOUT = """
| file | holds |
| --- | --- |
| `pairs.json` | the samples: names of the clips, speakers, times, stratum |
| `records.jsonl` | the annotations of every clip, one a line |
| `selection.json` | the rules, thresholds, seed and counts that decided; sha256 of the two files above |

**Source.** The dataset of the paper *SpeakerVid-5M* (arXiv 2507.09862); annotations from
`dorni/SpeakerVid-5M-Dataset`. The videos are on YouTube and belong to their makers.

**Terms.** Non-commercial research only, as the dataset says. This folder holds no media. Whoever is shown may ask to
be taken out: remove the sample from `pairs.json`, and say so with every result.

**Use.** Scoring systems that have seen none of these speakers. Not for training, for telling who somebody is, or for
imitating a person.
""".strip().splitlines()


def plots(choice: Choice, clips: Mapping[str, IndexedClip]) -> list[Plot]:
    """Returns the drawings: the strata beside what they were drawn from, and the scores of all chosen clips."""
    drawn = [
        share_bars(axis, title, _bars(choice, axis))
        for axis, title in (
            ("framing", "Framing of the responder"),
            ("view", "Facing direction of the responder"),
            ("topic", "Topic"),
            ("length", "Length of the responder’s clip"),
        )
    ]
    sides = _sides(choice, clips)
    drawn.append(
        histogram("seconds", "Length of the chosen clips", [c.duration for c in sides], _SECONDS, unit="seconds")
    )
    least = {threshold.field: threshold.least for threshold in choice.rules.thresholds}
    for field, title, edges in _SCORES:
        if values := _values(sides, field):
            drawn.append(histogram(field, title, values, edges, least=least.get(field)))
    return drawn


def datasheet(choice: Choice, selection: Selection, clips: Mapping[str, IndexedClip], drawn: Sequence[Plot]) -> str:
    """Returns the datasheet as Markdown, with the drawings as pictures."""
    parts = [*_head(choice, selection), *_chosen(selection), *_made_of(choice, clips, drawn), *_limits(selection)]
    return "\n".join(parts) + "\n"


def _head(choice: Choice, selection: Selection) -> list[str]:
    branch = words(selection.branch)
    videos = {speaker.partition(":")[0] for sample in choice.samples for speaker in sample.speaker_ids}
    responders = {sample.speaker_ids[-1] for sample in choice.samples}
    made = (
        f"Chosen from the annotations of SpeakerVid-5M by VidChatBench {selection.vidchatbench_version}: "
        f"{plural(selection.n, 'sample')} with {plural(len(responders), 'responder')} "
        f"from {plural(len(videos), 'source video')}, seed {selection.seed}."
    )
    return [f"# A {branch} test set of {plural(selection.n, 'sample')}", "", made, "", *_ABOUT, ""]


def _chosen(selection: Selection) -> list[str]:
    lines = ["## How it was chosen", "", "| remaining | after the rule |", "| ---: | --- |"]
    lines += [f"| {row.left} | {row.rule} |" for row in selection.funnel]
    lines += [f"| **{selection.n}** | **drawn in proportion to the strata, by the seed** |", ""]
    if selection.exclusions:
        lines += ["| training list | speakers | source videos | sha256 |", "| --- | ---: | ---: | --- |"]
        lines += [
            f"| {_plain(one.file)} | {one.n_speakers} | {one.n_videos} | `{one.sha256[:16]}…` |"
            for one in selection.exclusions
        ]
        lines += ["", "No chosen clip shows a speaker, or comes from a source video, that one of these lists names."]
    else:
        lines.append("**No training list was given: nothing says that a system has not seen these speakers.**")
    filled = sum(cell.chosen > 0 for cell in selection.strata)
    summary = (
        f"The strata are the combinations of framing, facing direction, topic and length: {len(selection.strata)} had "
        f"eligible samples, and {filled} of them gave at least one. Of the other combinations of these values, "
        f"{len(selection.empty_strata)}, none had any; `selection.json` lists them."
    )
    return [*lines, "", summary, ""]


def _made_of(choice: Choice, clips: Mapping[str, IndexedClip], drawn: Sequence[Plot]) -> list[str]:
    lines = ["## What it is made of", ""]
    for plot in drawn:
        lines += [f"![{_plain(plot.title)}](plots/{plot.name}.svg)", ""]
    lines += ["| score | clips with it | least | median | greatest |", "| --- | ---: | ---: | ---: | ---: |"]
    sides = _sides(choice, clips)
    for field, title, _ in _SCORES:
        values = sorted(_values(sides, field))
        cells = [f"{value:.2f}" for value in (values[0], median(values), values[-1])] if values else ["–"] * 3
        lines.append(f"| {title} | {len(values)} of {len(sides)} | {' | '.join(cells)} |".replace("| -", "| −"))
    languages = Counter(clip.language or UNKNOWN for clip in sides).most_common()
    languages.sort(key=lambda one: (-one[1], one[0]))
    counted = ", ".join(f"{_plain(name)} {count}" for name, count in languages[:_MAX_LANGUAGES])
    more = f", and {plural(len(languages) - _MAX_LANGUAGES, 'other')}" if len(languages) > _MAX_LANGUAGES else ""
    return [*lines, "", f"Languages of the clips: {counted}{more}.", ""]


def _limits(selection: Selection) -> list[str]:
    lines = [
        "## What to keep in mind",
        "",
        "- Speakers are told apart within one source video. The same person in two videos has two ids.",
        "- Framing, facing direction, topic and motion are a language model’s reading of the clip.",
        "- The source is YouTube: mostly English, and interviews, talks and shows more than everyday talk.",
        "- Videos vanish. `vidchatbench data prepare` says which samples are still alive.",
    ]
    if selection.branch == "listening":
        lines.append(
            "- Who a silent person is, nobody knows: at most one listener a source video counts as one person."
        )
    if selection.unsure_boxes:
        lines.append(
            f"- The box of {plural(selection.unsure_boxes, 'clip')} can be read in two ways; it was read as corners."
        )
    if selection.unreadable:
        lines.append(f"- {plural(selection.unreadable, 'annotation')} could not be read and took no part.")
    return lines


def _bars(choice: Choice, axis: str) -> list[Bar]:
    place = Stratum._fields.index(axis)
    chosen: Counter[str] = Counter()
    eligible: Counter[str] = Counter()
    for cell, count in choice.eligible.items():
        eligible[cell[place]] += count
        chosen[cell[place]] += choice.given[cell]
    names = lengths() if axis == "length" else sorted(eligible, key=lambda name: _rank(name, eligible))
    return [Bar(words(name), chosen[name], eligible[name]) for name in names]


def _rank(name: str, counts: Counter[str]) -> tuple[int, int, str]:
    if name in _LAST:
        return 2, _LAST.index(name), name
    return (0, _ORDER.index(name), name) if name in _ORDER else (1, -counts[name], name)


def _sides(choice: Choice, clips: Mapping[str, IndexedClip]) -> list[ClipRecord]:
    names = [name for sample in choice.samples for name in (sample.initiator, sample.responder) if name is not None]
    return [clips[name].record for name in dict.fromkeys(names)]


def _values(clips: Sequence[ClipRecord], field: str) -> list[float]:
    return [value for clip in clips if (value := getattr(clip, field)) is not None]


def _plain(text: str) -> str:
    """Text that cannot become Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#!" else letter for letter in text if letter.isprintable())
