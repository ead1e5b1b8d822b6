"""State dicts from disk: the one place of this package that reads a torch file, and never a pickle that runs code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def load_state(path: Path) -> dict[str, Any]:
    """Returns what a torch or safetensors file holds, on the CPU; only tensors and plain containers are accepted.

    Args:
        path: A safetensors file, or one written by ``torch.save``, under any name.

    Raises:
        pickle.UnpicklingError: If the file holds anything but tensors and plain containers.
    """
    with path.open("rb") as file:
        beginning = file.read(9)
    if beginning[8:] == b"{":  # safetensors: eight bytes of length, then JSON; a mirror may have any file names
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    return loaded


def fill(network: nn.Module, state: dict[str, Any], *, superfluous: tuple[str, ...] = ()) -> None:
    """Loads a state dict completely.

    Args:
        network: The module to fill.
        state: Its parameters and buffers.
        superfluous: Beginnings of keys that the file has and the network does not need.

    Raises:
        ValueError: If an entry of the network is missing in the file, or the file holds another one.
    """
    missing, unexpected = network.load_state_dict(state, strict=False)
    unexpected = [key for key in unexpected if not key.startswith(superfluous)] if superfluous else unexpected
    if missing or unexpected:
        raise ValueError(
            f"these weights are not of this network: {len(missing)} entries are missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} are unknown ({', '.join(unexpected[:3])})"
        )
