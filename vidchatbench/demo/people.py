"""The people of the demonstration: each has a face, a voice and something to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from vidchatbench.demo.face import TalkingFace
from vidchatbench.demo.looks import LOOKS
from vidchatbench.demo.motion import plan_poses
from vidchatbench.demo.portrait import Pixels, paint
from vidchatbench.demo.speech import Utterance, plan_utterance
from vidchatbench.demo.voice import VOICES, Wave, synthesise
from vidchatbench.demo.words import DIALOGUES

_CAMERA_NOISE = 1.2
_NOISE_MARGIN = 64
_SEEDS_PER_TURN = 100


@dataclass(frozen=True)
class Take:
    """One time that a sentence was spoken before the camera.

    Attributes:
        frames: uint8 RGB pictures at 25 a second.
        wave: float32 samples at 16 kHz.
    """

    frames: tuple[Pixels, ...]
    wave: Wave


class Actor:
    """One person, ready to speak before a camera.

    Args:
        number: Which person, 0 to 11.
        side: Height and width of the pictures, an even number.
    """

    def __init__(self, number: int, side: int) -> None:
        self.name = LOOKS[number].name
        self._voice = VOICES[number]
        self._face = TalkingFace(paint(LOOKS[number]), side)

    def plan(self, sentence: str, seed: int, seconds: float) -> Utterance:
        """Plans how the person says a sentence; see :func:`vidchatbench.demo.speech.plan_utterance`."""
        return plan_utterance(sentence, seed, tempo=self._voice.tempo, seconds=seconds)

    def film(self, utterance: Utterance, seed: int) -> tuple[Pixels, ...]:
        """Films the person saying it, at 25 frames a second; another seed moves the head otherwise."""
        drawn = (self._face.draw(pose) for pose in plan_poses(utterance, seed))
        return tuple(_with_camera_noise(drawn, seed + 1))

    def record(self, utterance: Utterance, seed: int) -> Wave:
        """Records the person saying it; float32 samples at 16 kHz."""
        return synthesise(utterance, self._voice, seed)


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation; what costs time is made when it is first asked for.

    Attributes:
        actor: Whose turn it is.
        partner: The other person.
        kind: Whether this one asks or answers.
        sentence: What there is to say.
        seconds: Most seconds that it may take.
        seed: Seed of this turn; the 99 after it are this turn's too.
    """

    actor: Actor
    partner: Actor
    kind: Literal["asks", "answers"]
    sentence: str
    seconds: float
    seed: int

    @cached_property
    def utterance(self) -> Utterance:
        """What is said, and how."""
        return self.actor.plan(self.sentence, self.seed, self.seconds)

    @cached_property
    def take(self) -> Take:
        """How it is said."""
        return self._say(self.utterance, self.seed + 10)

    @cached_property
    def second_take(self) -> Take:
        """The same person saying the same words again, with another melody and other movements."""
        return self._say(self.actor.plan(self.sentence, self.seed + 1, self.seconds), self.seed + 20)

    def dubbed(self) -> Wave:
        """The sound of the same utterance in the partner's voice."""
        return self.partner.record(self.utterance, self.seed + 30)

    def _say(self, utterance: Utterance, seed: int) -> Take:
        return Take(self.actor.film(utterance, seed), self.actor.record(utterance, seed + 2))


def make_turns(dyads: int, side: int, seconds: float, seed: int) -> Iterator[Turn]:
    """Makes the turns one by one: in each dyad the first asks and the second answers, then the other way round.

    Args:
        dyads: Pairs of people, 1 to 6.
        side: Height and width of the pictures, an even number.
        seconds: Most seconds of a turn; words that do not fit are left out.
        seed: Another seed gives other melodies and movements.
    """
    number = 0
    for dyad, exchanges in enumerate(DIALOGUES[:dyads]):
        first, second = Actor(2 * dyad, side), Actor(2 * dyad + 1, side)
        for (asks, answers), exchange in zip(((first, second), (second, first)), exchanges, strict=True):
            seeds = (10_000 * seed + _SEEDS_PER_TURN * (number + k) for k in range(2))
            yield Turn(asks, answers, "asks", exchange.question, seconds, next(seeds))
            yield Turn(answers, asks, "answers", exchange.answer, seconds, next(seeds))
            number += 2


def _with_camera_noise(pictures: Iterable[Pixels], seed: int) -> Iterator[Pixels]:
    """Adds one field of noise, at another place in every frame."""
    rng = np.random.default_rng(seed)
    field = None
    for pixels in pictures:
        height, width = pixels.shape[:2]
        if field is None:
            size = (height + _NOISE_MARGIN, width + _NOISE_MARGIN, 1)
            field = np.round(rng.normal(scale=_CAMERA_NOISE, size=size)).astype(np.int16)
        y, x = rng.integers(_NOISE_MARGIN, size=2)
        yield np.clip(pixels + field[y : y + height, x : x + width], 0, 255).astype(np.uint8)
