"""The base of every model that is written to a file or read from one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """An immutable model that refuses unknown fields, and numbers that JSON cannot hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class AnyFloatModel(FrozenModel):
    """A frozen model whose floats may be infinite or NaN: headers of damaged clips, parameters of metrics."""

    model_config = ConfigDict(allow_inf_nan=True)
