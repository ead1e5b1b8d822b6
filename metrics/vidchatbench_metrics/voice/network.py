"""ONNX networks on one CPU thread: small, and the same numbers on every run and at every number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ERRORS_ONLY = 3


class OnnxNetwork:
    """A network on the CPU with one thread.

    These networks stay on the CPU on every computer: they are small, and a number must not depend on the device.

    Args:
        path: The ONNX file.

    Raises:
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - heavy, and only extractors that run need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def run(self, **inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Returns all outputs for inputs given by name."""
        return [np.asarray(output, dtype=np.float32) for output in self._session.run(None, inputs)]
