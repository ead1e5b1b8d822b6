"""The store hands features to later runs: a torn, stale or mistaken one would go into numbers without a word."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import vidchatbench
import vidchatbench_metrics
from vidchatbench.api.extractors import ClipInfo, FrameExtractor, FrameSession, Timeline
from vidchatbench.api.features import ExtractorSpec, Feature, Param
from vidchatbench.api.plugins import WeightSpec
from vidchatbench.core.atomic import write_atomically
from vidchatbench.engine.features import keys
from vidchatbench.engine.features.keys import describe_extractor, feature_key
from vidchatbench.engine.features.store import FeatureStore
from vidchatbench.errors import UsageError
from vidchatbench.plugins.catalogue import Catalogue

KEY = "ab" * 32
FEATURE = Feature(
    {"points": np.arange(12, dtype=np.float32).reshape(3, 4)},
    {"fps": 25.0, "faces": 3, "note": "ü\u2028", "none": None},
)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def files(store: FeatureStore) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file())


def feature_file(store: FeatureStore) -> Path:
    (found,) = store.root.rglob("*.safetensors")
    return found


# --- round trips ----------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(store: FeatureStore) -> None:
    assert KEY not in store
    assert store.load(KEY) is None
    assert not store.root.exists(), "looking makes no folder"
    store.save(KEY, FEATURE, {"media": ["x"]})
    assert KEY in store
    loaded = FeatureStore(store.root).load(KEY)
    assert loaded is not None
    assert dict(loaded.meta) == dict(FEATURE.meta)
    assert [type(value) for value in loaded.meta.values()] == [type(value) for value in sorted_values(FEATURE.meta)]
    np.testing.assert_array_equal(loaded["points"], FEATURE["points"])
    assert files(store) == [f"{KEY}.json", f"{KEY}.safetensors"]


def sorted_values(meta: Mapping[str, Param]) -> list[Param]:
    return [meta[name] for name in sorted(meta)]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(0, np.float32),
        np.zeros((0, 4, 2), np.float32),
        np.zeros((3, 0), np.int64),
        np.array(1.5, np.float32),
        np.array(7, np.int64),
        np.array([True, False]),
        np.arange(5, dtype=np.uint8),
        np.arange(5, dtype=np.int16),
        np.linspace(-1, 1, 5, dtype=np.float16),
        np.linspace(-1, 1, 5, dtype=np.float64),
        np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
        np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3],
        np.arange(12, dtype=np.float32)[::-1],
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.broadcast_to(np.float32(3), (2, 3)),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}-{array.strides}",
)
def test_arrays_of_every_shape_and_layout_come_back(store: FeatureStore, array: np.ndarray[Any, Any]) -> None:
    array.flags.writeable = False
    store.save(KEY, Feature({"x": array}), {})
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded["x"].dtype == array.dtype
    assert loaded["x"].shape == array.shape
    np.testing.assert_array_equal(loaded["x"], array)


def test_the_byte_order_of_an_array_does_not_matter(store: FeatureStore) -> None:
    array = np.arange(5, dtype=">f4")
    store.save(KEY, Feature({"x": array}), {})
    loaded = store.load(KEY)
    assert loaded is not None
    assert loaded["x"].tolist() == array.tolist() == [0, 1, 2, 3, 4]


def test_a_feature_without_arrays_or_meta(store: FeatureStore) -> None:
    store.save(KEY, Feature({}), {})
    assert store.load(KEY) == Feature({}, {})


def test_saving_again_replaces(store: FeatureStore) -> None:
    store.save(KEY, FEATURE, {})
    store.save(KEY, Feature({"x": np.ones(1, np.float32)}, {"n": 1}), {})
    loaded = store.load(KEY)
    assert loaded is not None
    assert list(loaded.arrays) == ["x"]
    assert dict(loaded.meta) == {"n": 1}


def test_features_do_not_get_into_each_others_way(store: FeatureStore) -> None:
    others = [f"{k:02x}" * 32 for k in range(5)] + ["ab" * 31 + "cd"]
    for number, key in enumerate(others):
        store.save(key, Feature({"x": np.full(2, number, np.float32)}, {"n": number}), {})
    for number, key in enumerate(others):
        loaded = store.load(key)
        assert loaded is not None
        assert (loaded.number("n"), loaded["x"].tolist()) == (number, [number, number])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_meta_that_json_cannot_hold_is_refused(store: FeatureStore, value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.save(KEY, Feature({}, {"x": value}), {})
    assert KEY not in store
    assert not store.root.exists() or files(store) == []


# --- torn files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 40, -40, -1], ids=lambda keep: f"{keep} bytes")
def test_a_torn_file_is_no_hit_and_is_removed(store: FeatureStore, keep: int) -> None:
    store.save(KEY, FEATURE, {})
    path = feature_file(store)
    path.write_bytes(path.read_bytes()[:keep])
    assert store.load(KEY) is None
    assert not path.exists()
    assert KEY not in store
    store.save(KEY, FEATURE, {})
    assert store.load(KEY) is not None


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 100, b"\xff" * 100, b"hello", b"\x02\x00\x00\x00\x00\x00\x00\x00{}", b"\x80\x04K\x01."],
    ids=ascii,
)
def test_a_file_of_another_kind_is_no_hit_and_is_removed(store: FeatureStore, content: bytes) -> None:
    store.save(KEY, FEATURE, {})
    path = feature_file(store)
    path.write_bytes(content)
    assert store.load(KEY) is None
    assert not path.exists()


@pytest.mark.parametrize("metadata", [{"meta": "not json"}, {"meta": ""}, {"other": "{}"}, None], ids=str)
def test_a_feature_whose_meta_is_damaged_is_no_hit(store: FeatureStore, metadata: dict[str, str] | None) -> None:
    from safetensors.numpy import save

    store.save(KEY, FEATURE, {})
    feature_file(store).write_bytes(save({"x": np.zeros(1)}, metadata=metadata))
    assert store.load(KEY) is None
    assert KEY not in store


def test_trailing_rubbish_is_no_hit(store: FeatureStore) -> None:
    store.save(KEY, FEATURE, {})
    path = feature_file(store)
    path.write_bytes(path.read_bytes() + b"x")
    assert store.load(KEY) is None


# --- atomicity ------------------------------------------------------------------------------------------------------

Break = Callable[[pytest.MonkeyPatch], None]


def _no_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "replace fails")

    monkeypatch.setattr(Path, "replace", fail)


def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)


def _no_space(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    class Full:
        """A file on a disk that takes ten bytes."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()

        def write(self, content: bytes) -> int:
            self._file.write(content[:10])
            self._file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(self: Path, mode: str = "r", **options: Any) -> Any:
        file = real(self, mode, **options)
        return Full(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("breaks", [_no_replace, _no_fsync, _no_space])
def test_a_failed_write_leaves_nothing_behind(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, breaks: Break
) -> None:
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises(OSError, match=r"fails|No space"):
            store.save(KEY, FEATURE, {})
    assert KEY not in store
    assert files(store) == []


@pytest.mark.parametrize("breaks", [_no_replace, _no_fsync, _no_space])
def test_a_failed_write_keeps_what_was_there(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, breaks: Break
) -> None:
    store.save(KEY, FEATURE, {})
    before = files(store)
    with monkeypatch.context() as patch:
        breaks(patch)
        with pytest.raises(OSError, match=r"fails|No space"):
            store.save(KEY, Feature({"x": np.zeros(1, np.float32)}), {})
    loaded = store.load(KEY)
    assert loaded is not None
    np.testing.assert_array_equal(loaded["points"], FEATURE["points"])
    assert files(store) == before


def test_a_feature_shows_only_when_it_is_complete(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = Path.replace, []

    def watch(self: Path, target: Path) -> Path:
        seen.append((target.suffix, KEY in store, self.read_bytes() != b""))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    store.save(KEY, FEATURE, {})
    assert seen == [(".json", False, True), (".safetensors", False, True)]


def test_a_kill_between_the_two_files_is_no_hit(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.suffix == ".safetensors":
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            store.save(KEY, FEATURE, {})
    assert KEY not in store
    assert store.load(KEY) is None
    assert [name for name in files(store) if name.endswith(".tmp")] == [], "an interrupted write cleans up, too"


def test_writing_keeps_the_old_content_until_the_new_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    write_atomically(path, b"old")
    with monkeypatch.context() as patch:
        _no_space(patch)
        with pytest.raises(OSError, match="No space"):
            write_atomically(path, b"new" * 100)
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_a_missing_folder_is_an_error_and_not_a_silent_loss(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        write_atomically(tmp_path / "gone" / "file", b"x")


# --- keys -----------------------------------------------------------------------------------------------------------


def _weight(name: str, digit: str) -> WeightSpec:
    return WeightSpec(
        name=name, file_name=name, sha256=digit * 64, size=1, license="MIT", commercial_use=True, origin="us"
    )


class _Base(FrameExtractor):
    defaults: ClassVar[Mapping[str, Param]] = {"fps": 25.0, "mode": "mean"}

    @property
    def fps(self) -> float:
        return self.number("fps")

    def begin(self, clip: ClipInfo, upstream: Mapping[str, Timeline]) -> FrameSession:
        raise AssertionError


class Upstream(_Base):
    id = "t/upstream"

    @property
    def weights(self) -> tuple[str, ...]:
        return ("net-up",)


class Extractor(_Base):
    id = "t/extractor"
    defaults: ClassVar[Mapping[str, Param]] = {"fps": 25.0, "mode": "mean", "track_fps": 5.0}

    @property
    def weights(self) -> tuple[str, ...]:
        return ("net-b", "net-a")

    @property
    def requires(self) -> Mapping[str, ExtractorSpec]:
        return {"track": ExtractorSpec.of(Upstream.id, fps=self.params["track_fps"])}


MEDIA = ("1" * 64, "2" * 64)


class World:
    """Everything a key is made of, with one thing changed at a time."""

    def __init__(self) -> None:
        self.weights = {"net-a": "a", "net-b": "b", "net-up": "c", "net-other": "d"}

    def key(self, media: tuple[str, ...] = MEDIA, **params: Param) -> str:
        catalogue = Catalogue()
        catalogue.weights.update({name: _weight(name, digit) for name, digit in self.weights.items()})
        catalogue.extractors.register(Upstream.id, f"{__name__}:Upstream", origin="t")
        catalogue.extractors._loaded[Upstream.id] = Upstream
        return feature_key(describe_extractor(Extractor(**params), catalogue), media)


def test_a_key_is_64_hexadecimal_digits_and_always_the_same() -> None:
    assert World().key() == World().key()
    assert len(World().key()) == 64
    assert set(World().key()) <= set("0123456789abcdef")


def test_every_ingredient_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    found = {"as it is": world.key()}
    found["parameter"] = world.key(fps=5.0)
    found["another parameter"] = world.key(mode="max")
    found["parameter of upstream"] = world.key(track_fps=10.0)
    found["media"] = world.key(("3" * 64, MEDIA[1]))
    found["order of media"] = world.key(MEDIA[::-1])
    found["number of media"] = world.key(MEDIA[:1])
    for name in ("net-a", "net-b", "net-up"):
        with monkeypatch.context() as patch:
            patch.setitem(world.weights, name, "e")
            found[f"weight {name}"] = world.key()
    for cls in (Extractor, Upstream):
        with monkeypatch.context() as patch:
            patch.setattr(cls, "version", 2)
            found[f"version of {cls.id}"] = world.key()
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "id", "t/other")
        found["id"] = world.key()
    with monkeypatch.context() as patch:
        patch.setattr(Extractor, "requires", property(lambda self: {}))
        found["nothing required"] = world.key()
    with monkeypatch.context() as patch:
        patch.setattr(keys, "decode_profile", lambda: "vcb-media-v2/pyav1")
        found["decode profile"] = world.key()
    with monkeypatch.context() as patch:
        patch.setattr(keys, "DTYPE", "float16")
        found["dtype"] = world.key()
    seen: dict[str, str] = {}
    for what, key in found.items():
        assert seen.setdefault(key, what) == what, f"{what} gives the key of {seen[key]}"
    assert world.key() == found["as it is"]


def test_nothing_else_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    plain = world.key()
    assert world.key(fps=25.0) == plain, "a default that is spelled out"
    assert world.key(mode="mean", fps=25.0) == world.key(fps=25.0, mode="mean") == plain, "order of parameters"
    monkeypatch.setattr(Extractor, "weights", property(lambda self: ("net-a", "net-b")))
    assert world.key() == plain, "order of weights"
    world.weights["net-other"] = "e"
    assert world.key() == plain, "a weight of another extractor"
    world.weights = dict(reversed(world.weights.items()))
    assert world.key() == plain, "order of the table"
    monkeypatch.chdir("/")
    monkeypatch.setenv("VIDCHATBENCH_CACHE", "/elsewhere")
    assert world.key() == plain, "where one is"
    monkeypatch.setattr(Extractor, "__doc__", "Other words.")
    monkeypatch.setattr(Extractor, "packages", ("os",))
    assert world.key() == plain, "words and packages"


def test_a_whole_number_is_one_number_however_it_is_written() -> None:
    # Specs with 5 and 5.0 are equal and share one place in a plan, so they must share the key, too.
    assert ExtractorSpec.of("t/x", fps=5) == ExtractorSpec.of("t/x", fps=5.0)
    assert World().key(fps=5) == World().key(fps=5.0)


def test_the_key_needs_the_weights_to_be_known() -> None:
    world = World()
    del world.weights["net-a"]
    with pytest.raises(UsageError, match="net-a"):
        world.key()


# --- no pickle ------------------------------------------------------------------------------------------------------


def _imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", [vidchatbench, vidchatbench_metrics], ids=lambda package: package.__name__)
def test_nothing_is_pickled(package: Any) -> None:
    modules = [path for folder in package.__path__ for path in sorted(Path(folder).rglob("*.py"))]
    assert len(modules) > 5
    for path in modules:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not _imports(tree) & {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve"}, path
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called == "torch.load":
                assert words.get("weights_only") == "True", f"{path}: torch.load without weights_only=True"
            assert words.get("allow_pickle") != "True", f"{path}: {called} with allow_pickle"


# --- damage -----------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_in_a_file_is_noticed(store: FeatureStore) -> None:
    # All bits of the length, the header, the metadata, the hash itself and the payload.
    feature = Feature({"x": np.array([1.5, -2.0], np.float32)}, {"fps": 25.0, "sha256": "b", "note": 'a "quoted" word'})
    store.save(KEY, feature, {})
    path = feature_file(store)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            assert store.load(KEY) is None, f"byte {place} ({content[place : place + 1]!r}), bit {bit}"
            assert not path.exists()
            assert KEY not in store
    path.write_bytes(content)
    loaded = store.load(KEY)
    assert loaded is not None
    assert dict(loaded.meta) == dict(feature.meta)
    assert KEY in store


@pytest.mark.parametrize("size", [0, 1, 7, 100_003], ids=lambda size: f"{size} bytes")
def test_a_flipped_bit_is_noticed_in_a_payload_of_any_size(store: FeatureStore, size: int) -> None:
    names = {"sha256": np.zeros(size, np.uint8), "meta": np.ones(3, np.float64), 'a "sha256":"0" b': np.zeros(0)}
    store.save(KEY, Feature(names, {}), {})
    path = feature_file(store)
    content = bytearray(path.read_bytes())
    assert store.load(KEY) is not None
    for place in {len(content) - 1, len(content) - size // 2 - 1, 8, len(content) // 2}:
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        assert store.load(KEY) is None


def test_metadata_of_other_names_are_no_file_of_ours(store: FeatureStore) -> None:
    # Or a damaged name of the hash would pass as a file of 0.1.0, which has none.
    from safetensors.numpy import save

    store.save(KEY, FEATURE, {})
    path = feature_file(store)
    path.write_bytes(save({"x": np.zeros(1)}, metadata={"meta": "{}", "sha257": "0" * 64}))
    assert store.load(KEY) is None
    store.save(KEY, FEATURE, {})
    path.write_bytes(save({"x": np.zeros(1)}, metadata={"meta": "{}"}))
    assert store.load(KEY) is not None, "a file of 0.1.0"


def test_equal_features_are_equal_bytes_that_others_can_read(store: FeatureStore) -> None:
    from safetensors.numpy import load

    store.save(KEY, FEATURE, {})
    first = feature_file(store).read_bytes()
    store.save(KEY, FEATURE, {})
    assert feature_file(store).read_bytes() == first
    np.testing.assert_array_equal(load(first)["points"], FEATURE["points"])
    assert int.from_bytes(first[:8], "little") % 8 == 0, "the format wants the payload aligned"


def test_damage_in_a_folder_that_cannot_be_written_counts_as_absent(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(KEY, FEATURE, {})
    path = feature_file(store)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        assert KEY in store, "a look at the header alone does not see it"
        assert store.load(KEY) is None
    assert path.exists()
    assert KEY not in store
    store.save(KEY, FEATURE, {})
    assert KEY in store
