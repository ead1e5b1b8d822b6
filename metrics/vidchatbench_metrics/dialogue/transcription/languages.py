"""The languages of Whisper, and how manifests name them."""

from __future__ import annotations

_LANGUAGES = """
af afr afrikaans, am amh amharic, ar ara arabic, as asm assamese, az aze azerbaijani, ba bak bashkir, be bel belarusian,
bg bul bulgarian, bn ben bengali, bo bod tib tibetan, br bre breton, bs bos bosnian, ca cat catalan, cs ces cze czech,
cy cym wel welsh, da dan danish, de deu ger german, el ell gre greek, en eng english, es spa spanish, et est estonian,
eu eus baq basque, fa fas per persian, fi fin finnish, fo fao faroese, fr fra fre french, gl glg galician,
gu guj gujarati, ha hau hausa, haw hawaiian, he iw heb hebrew, hi hin hindi, hr hrv croatian, ht hat haitian,
hu hun hungarian, hy hye arm armenian, id in ind indonesian, is isl ice icelandic, it ita italian, ja jpn japanese,
jw jv jav javanese, ka kat geo georgian, kk kaz kazakh, km khm khmer, kn kan kannada, ko kor korean, la lat latin,
lb ltz luxembourgish, ln lin lingala, lo lao, lt lit lithuanian, lv lav latvian, mg mlg malagasy, mi mri mao maori,
mk mkd mac macedonian, ml mal malayalam, mn mon mongolian, mr mar marathi, ms msa may malay, mt mlt maltese,
my mya bur burmese, ne nep nepali, nl nld dut dutch, nn nno nynorsk, no nb nor nob norwegian, oc oci occitan,
pa pan punjabi, pl pol polish, ps pus pashto, pt por portuguese, ro mo ron rum romanian, ru rus russian,
sa san sanskrit, sd snd sindhi, si sin sinhala, sk slk slo slovak, sl slv slovenian, sn sna shona, so som somali,
sq sqi alb albanian, sr srp serbian, su sun sundanese, sv swe swedish, sw swa swahili, ta tam tamil, te tel telugu,
tg tgk tajik, th tha thai, tk tuk turkmen, tl fil tgl tagalog, tr tur turkish, tt tat tatar, uk ukr ukrainian,
ur urd urdu, uz uzb uzbek, vi vie vietnamese, yi yid yiddish, yo yor yoruba, yue cantonese, zh cmn zho chi chinese
"""
_CODES = {name: entry.split()[0] for entry in _LANGUAGES.split(",") for name in entry.split()}

LANGUAGES = frozenset(_CODES.values())
"""Whisper's codes."""


def whisper_language(language: str | None) -> str | None:
    """Returns Whisper's code of a language, ``None`` where it is unknown, or unknown to Whisper.

    Args:
        language: A code of two or three letters with or without a region (``en``, ``eng``, ``en-GB``), or its English
            name; ``und`` says that it is not known.
    """
    return _CODES.get((language or "").strip().lower().replace("_", "-").partition("-")[0])
