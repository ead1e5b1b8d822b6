"""What the people of the demonstration say to each other, and how each word is pronounced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """One question and its answer."""

    question: str
    answer: str


DIALOGUES: tuple[tuple[Exchange, Exchange], ...] = (
    (
        Exchange("Do you play any music?", "I play the piano at home."),
        Exchange("Who taught you to sing?", "My mother taught me to sing."),
    ),
    (
        Exchange("What did you cook for dinner?", "A tomato soup with fresh bread."),
        Exchange("Do you like it hot?", "Only with a little pepper."),
    ),
    (
        Exchange("Is it still raining there?", "No, the sun is out again."),
        Exchange("Will you need a coat?", "A thin coat will be enough."),
    ),
    (
        Exchange("How was the train to Rome?", "The train was late and full."),
        Exchange("Where did you sleep?", "In a small hotel near the river."),
    ),
    (
        Exchange("How old is your dog now?", "My dog is nearly ten."),
        Exchange("Does your cat go outside?", "The cat sleeps on my bed."),
    ),
    (
        Exchange("What are you reading today?", "A long book about the moon."),
        Exchange("Did you finish the letter?", "I sent the letter on Monday."),
    ),
)
"""Of each dyad what the first person asks the second, and what the second asks the first."""

PRONUNCIATIONS: Mapping[str, str] = {
    "a": "AH0",
    "about": "AH0 B AW1 T",
    "again": "AH0 G EH1 N",
    "and": "AE0 N D",
    "any": "EH1 N IY0",
    "are": "AA1 R",
    "at": "AE0 T",
    "be": "B IY1",
    "bed": "B EH1 D",
    "book": "B UH1 K",
    "bread": "B R EH1 D",
    "cat": "K AE1 T",
    "coat": "K OW1 T",
    "cook": "K UH1 K",
    "did": "D IH1 D",
    "dinner": "D IH1 N ER0",
    "do": "D UW1",
    "does": "D AH1 Z",
    "dog": "D AO1 G",
    "enough": "IH0 N AH1 F",
    "finish": "F IH1 N IH0 SH",
    "for": "F AO0 R",
    "fresh": "F R EH1 SH",
    "full": "F UH1 L",
    "go": "G OW1",
    "home": "HH OW1 M",
    "hot": "HH AA1 T",
    "hotel": "HH OW0 T EH1 L",
    "how": "HH AW1",
    "i": "AY1",
    "in": "IH0 N",
    "is": "IH0 Z",
    "it": "IH0 T",
    "late": "L EY1 T",
    "letter": "L EH1 T ER0",
    "like": "L AY1 K",
    "little": "L IH1 T AH0 L",
    "long": "L AO1 NG",
    "me": "M IY0",
    "monday": "M AH1 N D EY0",
    "moon": "M UW1 N",
    "mother": "M AH1 DH ER0",
    "music": "M Y UW1 Z IH0 K",
    "my": "M AY1",
    "near": "N IH1 R",
    "nearly": "N IH1 R L IY0",
    "need": "N IY1 D",
    "no": "N OW1",
    "now": "N AW1",
    "old": "OW1 L D",
    "on": "AA0 N",
    "only": "OW1 N L IY0",
    "out": "AW1 T",
    "outside": "AW0 T S AY1 D",
    "pepper": "P EH1 P ER0",
    "piano": "P IY0 AE1 N OW0",
    "play": "P L EY1",
    "raining": "R EY1 N IH0 NG",
    "reading": "R IY1 D IH0 NG",
    "river": "R IH1 V ER0",
    "rome": "R OW1 M",
    "sent": "S EH1 N T",
    "sing": "S IH1 NG",
    "sleep": "S L IY1 P",
    "sleeps": "S L IY1 P S",
    "small": "S M AO1 L",
    "soup": "S UW1 P",
    "still": "S T IH1 L",
    "sun": "S AH1 N",
    "taught": "T AO1 T",
    "ten": "T EH1 N",
    "the": "DH AH0",
    "there": "DH EH1 R",
    "thin": "TH IH1 N",
    "to": "T UW0",
    "today": "T AH0 D EY1",
    "tomato": "T AH0 M EY1 T OW0",
    "train": "T R EY1 N",
    "was": "W AA0 Z",
    "what": "W AH1 T",
    "where": "W EH1 R",
    "who": "HH UW1",
    "will": "W IH1 L",
    "with": "W IH0 DH",
    "you": "Y UW0",
    "your": "Y AO0 R",
}
"""ARPABET symbols of each word; a vowel ends in 1 where it is stressed and in 0 where it is not."""
