"""Which judges there are and how they are asked: ``URL#MODEL`` texts and TOML files, checked without a look outside.

No message repeats a value: what was put in the wrong place may be a key.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from vidchatbench.core.models import FrozenModel
from vidchatbench.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_KEY_ENV = "OPENAI_API_KEY"
DEFAULT_REPEATS = 2
MAX_JUDGES = 16
DEFAULT_MAX_TOKENS = 1024
_HINT = "use URL#MODEL, such as http://localhost:8080/v1#NAME, or a TOML file (docs/judge.md)"


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.username or parts.password or parts.query:
        raise ValueError("must carry no user, password or query; keys are read from the environment (api_key_env)")
    return value.rstrip("/")


class _Private(FrozenModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class JudgeSettings(_Private):
    """One judge: a model behind an endpoint.

    Attributes:
        base_url: Address of the endpoint, up to and including ``/v1``. It never leaves this computer's memory.
        model: The model's name as the endpoint knows it; it is published.
        family: Who made the model (``qwen``, ``llama``, ...): judges of one family share their preferences.
        api_key_env: Environment variable that holds the key; see :meth:`key_variable` for the default.
        price_in: Price of a million tokens read.
        price_out: Price of a million tokens written.
        currency: Currency of the prices, three letters.
        requests_per_minute: Most requests to begin in a minute; unlimited if ``None``.
        max_concurrency: Most requests under way at once.
        timeout_s: Seconds after which a request is given up and tried again.
        max_tokens: Most tokens of an answer; a model that reasons in the open needs more.
    """

    base_url: Annotated[str, AfterValidator(_check_url)] = Field(repr=False)
    model: str = Field(min_length=1, max_length=200, pattern=r"^[^\s#,]+$")
    family: str | None = None
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Z_][A-Z0-9_]*$")
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    requests_per_minute: float | None = Field(default=None, gt=0)
    max_concurrency: int = Field(default=8, ge=1, le=256)
    timeout_s: float = Field(default=180, gt=0)
    max_tokens: int = Field(default=DEFAULT_MAX_TOKENS, ge=64)

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this computer."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def key_variable(self) -> str | None:
        """Environment variable of the key to send, if one is to be sent.

        Unless one is named, ``OPENAI_API_KEY`` goes to other computers over https, and nowhere else: a key must not
        travel in the clear, and a local server wants none.
        """
        if self.api_key_env is not None:
            return self.api_key_env
        return DEFAULT_KEY_ENV if self.base_url.startswith("https://") and not self.is_local else None


class PanelSettings(_Private):
    """A panel of one judge or several, and what they have in common.

    Attributes:
        judges: The judges, each a different model.
        repeats: How often each judge is asked for each reply, with the seeds ``seed``, ``seed + 1``, ...
        seed: First seed.
    """

    judges: tuple[JudgeSettings, ...]
    repeats: int = Field(default=DEFAULT_REPEATS, ge=1, le=16)
    seed: int = Field(default=0, ge=0, le=2**31 - 100)

    @model_validator(mode="after")
    def _check_judges(self) -> PanelSettings:
        if not 1 <= len(self.judges) <= MAX_JUDGES:
            raise ValueError(f"there must be 1 to {MAX_JUDGES} judges")
        models = [judge.model for judge in self.judges]
        if len({slug(model) for model in models}) < len(models):
            raise ValueError("two judges have the same model; ask one of them more often instead (repeats)")
        return self

    @property
    def name(self) -> str:
        """The models' names as they stand in the protocol id, with whatever else is unusual and can change a score."""
        parts = ["+".join(_name(judge) for judge in self.judges)]
        if self.repeats != DEFAULT_REPEATS:
            parts.append(f"r{self.repeats}")
        if self.seed:
            parts.append(f"seed{self.seed}")
        return "-".join(parts)


def slug(model: str) -> str:
    """Returns a model's name in the letters that a protocol id may have."""
    return re.sub(r"[^a-z0-9_.]+", "-", model.lower()).strip("-") or "model"


def _name(judge: JudgeSettings) -> str:
    unusual = "" if judge.max_tokens == DEFAULT_MAX_TOKENS else f".{judge.max_tokens}tok"
    return f"{slug(judge.model)}{unusual}"


def read_settings(text: str) -> PanelSettings:
    """Reads what ``--judge`` was given.

    Args:
        text: ``URL#MODEL``, several separated by commas, or the path of a TOML file.

    Raises:
        InputError: If it is not understood; every problem is listed.
    """
    if text.endswith(".toml"):
        return _read_file(Path(text))
    judges = []
    for number, part in enumerate(text.split(","), 1):
        url, mark, model = part.strip().partition("#")
        if not mark:
            raise InputError("--judge", [f"judge {number} has no #MODEL after its address"], _HINT)
        judges.append({"base_url": url, "model": model})
    return _validated("--judge", {"judges": judges})


def _read_file(path: Path) -> PanelSettings:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path.name, [error.strerror or "cannot be read"], _HINT) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # The decoder's message may quote the file.
        raise InputError(path.name, ["is not TOML"], _HINT) from None
    return _validated(path.name, content)


def _validated(subject: str, content: object) -> PanelSettings:
    try:
        return PanelSettings.model_validate(content)
    except ValidationError as error:
        problems = [_problem(item["loc"], item["type"], item["msg"]) for item in error.errors(include_input=False)]
        raise InputError(subject, problems, _HINT) from None


def _problem(where: tuple[int | str, ...], kind: str, message: str) -> str:
    names = list(map(str, where))
    if kind == "extra_forbidden":
        # The name of an unknown field may itself be what somebody pasted.
        known = names[-1] in {"api_key", "key", "token", "temperature", "url", "name"}
        field = f"{'.'.join(names[:-1])}: unknown field {names[-1] if known else ''}".strip(": ")
        return f"{field} (keys are read from the variable named by api_key_env)" if "key" in names[-1] else field
    return f"{'.'.join(names)}: {message.removeprefix('Value error, ')}" if names else message
