"""TODO."""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]

Schema = dict[str, Any]
