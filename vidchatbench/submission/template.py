"""The ``system.yaml`` that a user starts from: every field with what it means and an example, all as comments."""

from __future__ import annotations

from pathlib import Path

from vidchatbench.core.atomic import write_atomically
from vidchatbench.errors import UsageError
from vidchatbench.submission.system import SYSTEM_FILE

TEMPLATE = """\
## What produced the outputs in this folder. Take away one "#" before each field that you fill; what is left out stays
## unknown in the results. Only the name is needed once there is a field. `vidchatbench check` reads this file.

## The system, as tables are to name it, and which of its versions this is.
#name: My system
#revision: v1

## Who made it.
#organisation: My university
#authors: [Ada Example, Ben Example]

## Where it can be read about and found.
#paper: https://arxiv.org/abs/0000.00000
#code: https://example.org/my-system
#weights: https://example.org/my-system-weights
#open_weights: true
#license: Apache-2.0

## How large it is and on what it ran.
#parameters: 7B
#hardware: 1 x NVIDIA H100 80 GB

## How the outputs were made: any names and numbers.
#generation_settings:
#  seed: 0
#  steps: 50
#  guidance: 3.5

## What it was trained on, and which identities or clips of the benchmark were among that ("none" if none).
## A submission to a leaderboard must say both.
#training_data: SpeakerVid-5M without the test set
#training_overlap: none
"""


def write_template(outputs: Path) -> Path:
    """Writes the commented ``system.yaml`` into a folder of outputs, which is made if it is not there.

    Raises:
        UsageError: If there is one already, or the folder cannot be made.
    """
    path = outputs / SYSTEM_FILE
    if path.exists():
        raise UsageError(f"{path} is there already; it was left as it is")
    try:
        outputs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {outputs} cannot be made: {error.strerror}") from error
    write_atomically(path, TEMPLATE.encode())
    return path
