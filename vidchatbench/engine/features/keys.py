"""The key of a feature: a hash over everything that can change it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from vidchatbench.api.extractors import Extractor
from vidchatbench.media.profile import decode_profile
from vidchatbench.plugins.catalogue import Catalogue
from vidchatbench.weights.table import weight_spec

DTYPE = "float32"


def describe_extractor(extractor: Extractor, catalogue: Catalogue) -> dict[str, object]:
    """Returns what identifies an extractor's output, including the extractors that it builds on.

    Raises:
        UsageError: If a weight or a required extractor is not in the catalogue.
    """
    return {
        "extractor": extractor.id,
        "version": extractor.version,
        "params": dict(extractor.spec.params),
        "weights": {name: weight_spec(catalogue.weights, name).sha256 for name in sorted(extractor.weights)},
        "requires": {
            name: describe_extractor(catalogue.extractor(spec), catalogue)
            for name, spec in sorted(extractor.requires.items())
        },
    }


def feature_key(
    description: Mapping[str, object], media: Sequence[str], guides: Mapping[str, str] | None = None
) -> str:
    """Returns the key of the feature that ``description`` makes of the given media.

    Args:
        description: See :func:`describe_extractor`.
        media: sha256 of the clip, or of both clips of a pair in their order.
        guides: Key of each feature of another clip that it depends on, by local name.

    Returns:
        64 hexadecimal digits.
    """
    parts = {"media": list(media), "decode": decode_profile(), "dtype": DTYPE, **description}
    if guides:  # left out otherwise: the keys of all that is not guided are older than guides
        parts["guides"] = dict(guides)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def sample_key(description: Mapping[str, object], content: Mapping[str, object], features: Mapping[str, str]) -> str:
    """Returns the key of the feature that ``description`` makes of a sample.

    Args:
        description: See :func:`describe_extractor`.
        content: What the extractor reads of the sample, JSON values only.
        features: Key of each feature that it reads, by local name.

    Returns:
        64 hexadecimal digits.
    """
    parts = {"content": dict(content), "features": dict(features), "dtype": DTYPE, **description}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()
