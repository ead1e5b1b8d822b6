"""ONNX networks on one CPU thread, or on a GPU: the same numbers on every run and at every number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ERRORS_ONLY = 3


class OnnxNetwork:
    """A network with one thread.

    Args:
        path: The ONNX file.
        device: Torch device string; a GPU is used where onnxruntime was built for it. Small networks leave it at the
            CPU on every computer, so that their numbers do not depend on the device.

    Raises:
        ImportError: If onnxruntime is not installed.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        import onnxruntime  # heavy, and only extractors that run need it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        providers = ["CPUExecutionProvider"]
        if device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        self._session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=providers)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the network's order."""
        return tuple(node.name for node in self._session.get_inputs())

    def run(self, **inputs: NDArray[Any]) -> list[NDArray[np.float32]]:
        """Returns all outputs for inputs given by name."""
        return [np.asarray(output, dtype=np.float32) for output in self._session.run(None, inputs)]
