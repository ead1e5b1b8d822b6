"""Reads the parameters out of files in which whole torch modules were pickled, without running anything they name.

EmotiEffLib publishes its networks as ``torch.save(model)``. Such a file names classes that unpickling would import and
call. Here torch's restricted unpickler reads it, and every class or function it names that is no tensor of torch's is
replaced by a stand-in that keeps the state it is given and does nothing; parameters are then read off the stand-ins.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidchatbench_metrics.common.torch_weights import load_state

if TYPE_CHECKING:
    import torch

_ROOTS = frozenset({"timm", "torch", "torchvision", "collections", "functools", "builtins", "copyreg", "typing"})
"""Packages whose names occur in pickled networks. A file that names anything else was not made to hold a network."""

_DEEPEST = 64


class _StandIn:
    """Keeps what a pickled object was given, and does nothing with it."""

    state: Mapping[str, Any] = {}

    def __new__(cls, *args: object, **kwargs: object) -> _StandIn:
        del args, kwargs
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        del args, kwargs

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, dict) else {}


def load_parameters(path: Path) -> dict[str, torch.Tensor]:
    """Returns the parameters and buffers of a network.

    Args:
        path: A file of ``torch.save(module)`` or of ``torch.save(module.state_dict())``, or a safetensors file.

    Raises:
        ValueError: If a pickled file names something that no network needs, or holds no network.
        ImportError: If torch is too old to tell what a file names.
    """
    if not zipfile.is_zipfile(path):
        return load_state(path)
    import torch  # heavy, and only extractors that run need it

    if not hasattr(torch.serialization, "get_unsafe_globals_in_checkpoint"):
        raise ImportError(f"torch {torch.__version__} cannot read pickled networks safely; torch 2.6 can")
    named = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    if not named:
        return load_state(path)
    if strangers := [name for name in named if name.partition(".")[0] not in _ROOTS]:
        raise ValueError(f"{path.name} names {', '.join(strangers)}, which no network needs; it was not read")
    with torch.serialization.safe_globals([_stand_in(name) for name in named]):
        root = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    parameters: dict[str, torch.Tensor] = {}
    _collect(root, "", parameters)
    if not parameters:
        raise ValueError(f"{path.name} holds no network")
    return parameters


def _stand_in(name: str) -> type[_StandIn]:
    module, _, plain = name.rpartition(".")
    return type(plain, (_StandIn,), {"__module__": module, "__qualname__": plain})


def _collect(module: object, prefix: str, parameters: dict[str, torch.Tensor]) -> None:
    # A module that contains itself would otherwise never end.
    if not isinstance(module, _StandIn) or prefix.count(".") > _DEEPEST:
        return
    transient = module.state.get("_non_persistent_buffers_set", ())
    for kind in ("_parameters", "_buffers"):
        for name, value in module.state.get(kind, {}).items():
            if value is not None and name not in transient:
                parameters[f"{prefix}{name}"] = value.detach()
    for name, child in module.state.get("_modules", {}).items():
        _collect(child, f"{prefix}{name}.", parameters)
