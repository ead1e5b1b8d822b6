"""A run in the formats of others: *Every Eval Ever* JSON (version 0.3) and Hugging Face ``.eval_results`` YAML.

Both are written for one scalar per task. What they have no field for (coverage, failures, protocol id) goes into their
free fields, so that no number travels without what it takes to read it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping

import yaml

from vidchatbench.api.cards import MetricCard
from vidchatbench.api.samples import Role
from vidchatbench.api.scores import Status
from vidchatbench.leaderboard.verification.bundle import safe_name
from vidchatbench.leaderboard.verification.reading import Bundle
from vidchatbench.results.schema import MetricResult
from vidchatbench.results.statistics.intervals import DRAWS

EEE_VERSION = "0.3.0"


def every_eval_ever(bundle: Bundle, cards: Mapping[str, MetricCard]) -> dict[str, bytes]:
    """Returns the files of a run in the format of Every Eval Ever: the aggregates, and the samples that they average.

    Distances of sets have no per-sample part that would average to them, so their samples are left out.

    Args:
        bundle: The run.
        cards: The installed cards, for ranges.
    """
    # The format names files by random UUIDs; one made of the bundle's hash is the same for the same bundle.
    name = str(uuid.UUID(bytes=bytes.fromhex(bundle.sha256)[:16], version=4))
    results = bundle.results
    model = f"{safe_name(results.system.organisation or 'unknown')}/{safe_name(results.system.name)}"
    epoch = f"{results.run.finished.timestamp():.0f}"
    evaluation = f"vidchatbench-{results.benchmark.name}/{model.replace('/', '_')}/{epoch}"
    lines = "".join(
        json.dumps(line, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n"
        for line in _eee_samples(bundle, evaluation, model)
    ).encode()
    folder = f"data/vidchatbench-{safe_name(results.benchmark.name)}/{model}"
    samples_name = f"{folder}/{name}_samples.jsonl"
    content: dict[str, object] = {
        "schema_version": EEE_VERSION,
        "evaluation_id": evaluation,
        "evaluation_timestamp": results.run.finished.isoformat(),
        "retrieved_timestamp": epoch,
        "source_metadata": {
            "source_name": "VidChatBench",
            "source_type": "evaluation_run",
            "source_organization_name": results.system.organisation or "unknown",
            "evaluator_relationship": "first_party",
            "additional_details": {"bundle_sha256": bundle.sha256},
        },
        "model_info": _eee_model(bundle, model),
        "eval_library": {"name": "vidchatbench", "version": results.vidchatbench_version},
        "evaluation_results": [
            _eee_result(bundle, metric, cards.get(metric.id)) for metric in results.metrics if metric.value is not None
        ],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": samples_name,
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(lines).hexdigest(),
            "total_rows": lines.count(b"\n"),
        },
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, sort_keys=True) + "\n"
    return {f"{folder}/{name}.json": text.encode(), samples_name: lines}


def _eee_model(bundle: Bundle, model: str) -> dict[str, object]:
    system = bundle.system
    availability = {True: "open_weights", False: "closed_weights", None: "unknown"}
    details = {
        "deployment_type": "unknown",
        "model_availability": availability[system.open_weights],
        "revision": system.revision,
        "code": system.code,
        "weights": system.weights,
        "paper": system.paper,
        "parameters": None if system.parameters is None else str(system.parameters),
        "training_data": system.training_data,
        "training_overlap": system.training_overlap,
        "license": system.license,
    }
    return {
        "name": system.name,
        "id": model,
        "developer": system.organisation or "unknown",
        "additional_details": {name: text for name, text in details.items() if text is not None},
    }


def _eee_result(bundle: Bundle, metric: MetricResult, card: MetricCard | None) -> dict[str, object]:
    benchmark = bundle.results.benchmark
    config: dict[str, object] = {
        "evaluation_description": metric.title,
        "metric_id": f"vidchatbench.{metric.id.replace('/', '.')}",
        "metric_name": metric.title,
        "metric_unit": metric.unit or "none",
        "metric_parameters": dict(metric.params),
        "lower_is_better": metric.direction == "lower",
        "additional_details": {"protocol": metric.protocol, "version": str(metric.version)},
    }
    if card is not None and card.minimum is not None and card.maximum is not None:
        config |= {"score_type": "continuous", "min_score": card.minimum, "max_score": card.maximum}
    uncertainty: dict[str, object] = {"num_samples": metric.n_ok + metric.n_failed}
    if metric.ci95 is not None:
        low, high = metric.ci95
        uncertainty["confidence_interval"] = {
            "lower": low,
            "upper": high,
            "confidence_level": 0.95,
            "method": metric.interval_method or "unknown",
        }
        if metric.interval_method != "delete_group_jackknife":
            uncertainty["num_bootstrap_samples"] = DRAWS
    counts = ("n_expected", "n_ok", "n_failed", "n_not_applicable", "n_error", "coverage", "unranked")
    return {
        "evaluation_result_id": metric.id,
        "evaluation_name": f"{benchmark.name}: {metric.id}",
        "source_data": {
            "dataset_name": benchmark.name,
            "source_type": "other",
            "source_id": benchmark.manifest_sha256,
            "source_version": benchmark.version,
        },
        "metric_config": config,
        "score_details": {
            "score": metric.value,
            "details": {name: str(getattr(metric, name)) for name in counts if getattr(metric, name) is not None},
            "uncertainty": uncertainty,
        },
    }


def _eee_samples(bundle: Bundle, evaluation: str, model: str) -> Iterator[dict[str, object]]:
    benchmark = bundle.results.benchmark
    files = {line.sample_id: line for line in bundle.media if line.role is Role.CANDIDATE}
    for row in bundle.rows:
        if row.counted is None:
            continue
        line = files.get(row.sample_id)
        metadata = {"status": row.status, "cluster": row.cluster, "protocol": row.protocol}
        if line is not None and line.sha256 is not None:
            metadata["candidate_sha256"] = line.sha256
        if row.reason:
            metadata["reason"] = row.reason
        yield {
            "schema_version": EEE_VERSION,
            "evaluation_id": evaluation,
            "model_id": model,
            "evaluation_name": f"{benchmark.name}: {row.metric}",
            "evaluation_result_id": row.metric,
            "sample_id": row.sample_id,
            "interaction_type": "single_turn",
            "input": {"raw": f"{benchmark.name} {benchmark.version}, sample {row.sample_id}", "reference": []},
            "output": {"raw": [] if line is None else [line.file]},
            "answer_attribution": [],
            # The format asks for a yes or no; here it says whether the reply could be scored.
            "evaluation": {"score": row.counted, "is_correct": row.status == Status.OK.value},
            "metadata": metadata,
        }


def hugging_face(bundle: Bundle, dataset: str, source: str | None = None) -> dict[str, bytes]:
    """Returns the file of a run for a model repository's ``.eval_results`` folder.

    Args:
        bundle: The run.
        dataset: ``ORG/DATASET`` under which the benchmark is registered on the Hub.
        source: Where the run can be looked at.
    """
    results = bundle.results
    entries = []
    for metric in results.metrics:
        if metric.value is None:
            continue
        interval = "" if metric.ci95 is None else f", 95 % interval {metric.ci95[0]:.6g} to {metric.ci95[1]:.6g}"
        notes = (
            f"{metric.protocol}, n = {metric.n_ok + metric.n_failed} ({metric.n_failed} failed){interval}; "
            f"{results.benchmark.name} {results.benchmark.version}, bundle {bundle.sha256[:12]}"
        )
        entry: dict[str, object] = {
            "dataset": {"id": dataset, "task_id": metric.id.replace("/", "_")},
            "value": metric.value,
            "date": results.run.finished.isoformat(),
            "notes": notes if metric.unranked is None else f"{notes}; not ranked: {metric.unranked}",
        }
        if source is not None:
            entry["source"] = {"url": source, "name": "VidChatBench"}
        entries.append(entry)
    text = yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)
    return {f".eval_results/vidchatbench_{safe_name(results.benchmark.name)}.yaml": text.encode()}
