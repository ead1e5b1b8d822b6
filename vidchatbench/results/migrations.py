"""Old result files stay readable: each change of ``results.json`` brings the step from the version before.

A step takes the content of one version and returns that of the next; files pass through all steps from theirs to
today's and are validated once, at the end. A step only rewrites what the file holds; it never computes a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pydantic_core import from_json

from vidchatbench.errors import InputError

Content = dict[str, object]
Step = Callable[[Content], Content]

STEPS: Mapping[int, Step] = {}
"""Steps by the version they start from; the first format of ``results.json`` is version 1, and is today's."""


def upgrade(data: bytes, *, subject: str, to: int, steps: Mapping[int, Step] = STEPS) -> bytes:
    """Returns the text of a results file in the wanted version of the format.

    What is no JSON object or names no version is returned as it is; its validation reports the problem.

    Args:
        data: The file.
        subject: Its name, for messages.
        to: The wanted version.
        steps: The known steps.

    Raises:
        InputError: If the file is of a newer version, or of one from which no step leads on.
    """
    try:
        content = from_json(data)
    except ValueError:
        return data
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version == to:
        return data
    if version > to:
        problem = f"schema_version is {version}, this version of the library reads up to {to}"
        raise InputError(subject, [problem], "Update vidchatbench.")
    while version < to:
        step = steps.get(version)
        if step is None:
            problem = f"schema_version is {version}, from which no way leads to {to}"
            raise InputError(subject, [problem], "Evaluate the outputs again.")
        version += 1
        content = {**step(content), "schema_version": version}
    return json.dumps(content, ensure_ascii=False).encode()
