"""One generic registry: names to lazily imported objects, with collisions refused and typos answered."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Generic, TypeVar

from vidchatbench.core.suggest import did_you_mean
from vidchatbench.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to classes that are imported when they are first asked for.

    Args:
        kind: What is registered, for messages ("metric").
        base: Every object must be a subclass of this.
    """

    def __init__(self, kind: str, base: type[T]) -> None:
        self._kind = kind
        self._base = base
        self._targets: dict[str, str] = {}
        self._origins: dict[str, str] = {}
        self._loaded: dict[str, type[T]] = {}
        self._frozen = False

    def register(self, name: str, target: str, *, origin: str) -> None:
        """Adds ``name`` as ``"module:Class"``, brought by the package ``origin``.

        Raises:
            ValueError: If the name is taken, or the registry is frozen.
        """
        if self._frozen:
            raise ValueError(f"the registry of {self._kind}s is frozen; {name!r} comes too late")
        if name in self._targets:
            raise ValueError(
                f"{self._kind} {name!r} of {origin!r} is already registered by {self._origins[name]!r} "
                f"as {self._targets[name]}"
            )
        self._targets[name] = target
        self._origins[name] = origin

    def freeze(self) -> None:
        """Closes the registry; later registrations are refused."""
        self._frozen = True

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __len__(self) -> int:
        return len(self._targets)

    def origin(self, name: str) -> str:
        """Returns the package that brought ``name``."""
        self._check(name)
        return self._origins[name]

    def get(self, name: str) -> type[T]:
        """Imports and returns the class behind ``name``.

        Raises:
            UsageError: If no such name is registered; the nearest names are suggested.
            TypeError: If the target is not a subclass of the registry's base.
        """
        self._check(name)
        if name not in self._loaded:
            module_name, _, attribute = self._targets[name].partition(":")
            target = getattr(importlib.import_module(module_name), attribute)
            if not (isinstance(target, type) and issubclass(target, self._base)):
                raise TypeError(f"{self._kind} {name!r}: {self._targets[name]} is no {self._base.__name__}")
            self._loaded[name] = target
        return self._loaded[name]

    def _check(self, name: str) -> None:
        if name in self._targets:
            return
        guess = did_you_mean(name, self._targets) or f"; known: {', '.join(self) or 'none'}"
        raise UsageError(f"there is no {self._kind} {name!r}{guess}")
