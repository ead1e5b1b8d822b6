"""The judge as a metric package sees it: a request, an answer, and a judge that goes by its public name.

Endpoints have addresses, and addresses have no place in results. So a judge is *connected* once by the text that the
user gave, and goes by its public name (the models' names) from then on: in parameters, protocol ids, feature keys and
results. Extractors name the judge that they ask, and the engine hands it over when it sets them up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vidchatbench.api.features import Param, Refusal
from vidchatbench.errors import UnavailableError

AXES = ("relevance", "coherence", "informativeness", "naturalness", "safety")
"""The axes of the rubric, in the order of the last dimension of :attr:`JudgeAnswer.scores`."""

RUBRIC = "rubric-v1"
"""Version of the rubric and of everything else in the prompt; part of the protocol id."""

NO_JUDGE = "no judge is given"
"""Why a metric without a judge is unavailable."""

NO_JUDGE_FIX = (
    "start one, such as `llama-server -m MODEL.gguf --alias NAME --port 8080`, `ollama serve` or `vllm serve MODEL`, "
    "and name it: --judge http://localhost:8080/v1#NAME"
)


@dataclass(frozen=True)
class JudgeRequest:
    """One reply to be judged, with what the judge may know of the conversation.

    Attributes:
        name: Names the request in messages; it is not shown to the judge.
        language: Language of the conversation.
        initiator: What the initiator says.
        reply: What is heard in the reply.
        history: Earlier turns as pairs of ``initiator`` or ``responder`` and what was said.
        frames: JPEG pictures of the initiator, in order of time, for judges that see.
    """

    name: str
    language: str
    initiator: str
    reply: str
    history: tuple[tuple[str, str], ...] = ()
    frames: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class JudgeAnswer:
    """What the panel says of one reply.

    Attributes:
        scores: int8 of shape (judges, repeats, 5), each 1..5, axes in the order of :data:`AXES`.
        tokens: int64 of shape (judges, 2): tokens read and written, as the endpoints counted them.
        meta: Who judged with what: ``judges``, ``answered_by``, ``fingerprints`` (each one text per judge, separated by
            ``" | "``), ``prompt_sha256``, ``reasons``, ``format``, ``seed``, ``temperature``, ``reply_words``, ``cut``.
    """

    scores: NDArray[np.int8]
    tokens: NDArray[np.int64]
    meta: Mapping[str, Param]


class Judge(Protocol):
    """A judge or a panel of several."""

    @property
    def name(self) -> str:
        """Public name: the models, and what else changes the scores; safe in a protocol id."""
        ...

    def identity(self) -> Mapping[str, object]:
        """Everything known beforehand that can change its answers, as JSON values; no address, no key."""
        ...

    def score(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, JudgeAnswer | Refusal]]:
        """Yields the position of each request with its answer, in whatever order they come."""
        ...


class Connections:
    """The judges that are connected in this process, by public name; safe between threads."""

    def __init__(self) -> None:
        self._judges: dict[str, Judge] = {}
        self._lock = threading.Lock()

    def connect(self, name: str, choose: Callable[[Judge | None], Judge]) -> None:
        """Connects the judge that ``choose`` returns, given the one of that name that is connected already, if any."""
        with self._lock:
            self._judges[name] = choose(self._judges.get(name))

    def open(self, name: str) -> Judge:
        """Returns the judge of a public name.

        Raises:
            UnavailableError: If none of that name is connected.
        """
        with self._lock:
            judge = self._judges.get(name)
        if judge is None:
            raise UnavailableError(f"judge {name!r} is not connected", NO_JUDGE_FIX)
        return judge


CONNECTIONS = Connections()
"""Where the engine looks up the judges that extractors and metrics name."""


def is_connection(text: str) -> bool:
    """Whether a text says where a judge is (``URL#MODEL`` or a TOML file), rather than being its public name."""
    return "#" in text or "://" in text or text.endswith(".toml")


def offer_judge(judge: Judge) -> str:
    """Connects a judge of one's own under its name, and returns the name."""
    CONNECTIONS.connect(judge.name, lambda _: judge)
    return judge.name


def open_judge(name: str) -> Judge:
    """Returns the judge of a public name.

    Raises:
        UnavailableError: If none of that name has been connected in this process.
    """
    return CONNECTIONS.open(name)
