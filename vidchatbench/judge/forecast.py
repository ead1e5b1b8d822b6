"""What a run of the judges would take, said before anything is sent or even heard."""

from __future__ import annotations

from collections.abc import Iterable

from vidchatbench.api.judging import JudgeRequest
from vidchatbench.api.samples import Sample
from vidchatbench.judge.calibration import PROBE_SAMPLES, choose_anchors, items_of
from vidchatbench.judge.panel import Estimate, Panel

_NO_TRANSCRIPT = "word " * 40
"""Stands for a reply of which nothing is known: about a quarter of a minute of speech."""


def forecast(panel: Panel, samples: Iterable[Sample]) -> Estimate:
    """Estimates a run over all samples, anchors included, as if nothing had been answered before.

    The replies are not known yet; the real ones stand for their lengths. Pictures are not reckoned with.
    """
    known = list(samples)
    requests = []
    for sample in known:
        if (sample.initiator.transcript or "").strip():
            reply = (sample.responder.transcript if sample.responder is not None else None) or _NO_TRANSCRIPT
            history = tuple((turn.role, turn.transcript) for turn in sample.history)
            requests.append(JudgeRequest(sample.id, sample.language, sample.initiator.transcript or "", reply, history))
    anchors = choose_anchors(known)
    # Two disguises and a pair in both orders for each of the probes.
    probes = [anchor.asking(anchor.texts[0]) for anchor in anchors[:PROBE_SAMPLES] for _ in range(4)]
    return panel.estimate([*requests, *(2 * items_of(anchors)), *probes])
