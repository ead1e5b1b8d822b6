"""The distribution metrics against clean-fid, pytorch-fid, torch-fidelity, transformers and published numbers.

The networks run on seeded weights, the same in the reference package and in ours, so nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from vidchatbench_metrics.common.set_distances import FrechetDistance, GaussianMmd, PolynomialMmd
from vidchatbench_metrics.common.torch_weights import load_state
from vidchatbench_metrics.video_quality.clip_image import ClipImageEncoder, vision_sizes
from vidchatbench_metrics.video_quality.inception import InceptionFeatures, resize_clean
from vidchatbench_metrics.video_quality.weights import DISTRIBUTION_WEIGHTS

torch = pytest.importorskip("torch")

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
SPECS = {spec.name: spec for spec in DISTRIBUTION_WEIGHTS}

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with edges and noise: every frequency that a resizer can get wrong."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:height, 0:width]
    waves = [np.sin(down / rng.uniform(2, 40) + across / rng.uniform(2, 40) + rng.uniform(0, 6)) for _ in range(3)]
    values = 128 + 90 * np.stack(waves, axis=2) + rng.normal(0, 25, (height, width, 3))
    values[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return values.clip(0, 255).astype(np.uint8)


def mirror_file(name: str) -> Path:
    """The real weights, where the folder of weights has them."""
    spec, folder = SPECS[name], os.environ.get("VIDCHATBENCH_WEIGHTS_DIR")
    for file in sorted(Path(folder).rglob("*")) if folder else ():
        right_size = file.is_file() and file.stat().st_size == spec.size
        if right_size and hashlib.sha256(file.read_bytes()).hexdigest() == spec.sha256:
            return file
    pytest.skip(f"{spec.file_name} does not lie in VIDCHATBENCH_WEIGHTS_DIR")


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded weights for the FID Inception, scaled so that signals neither die nor explode."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        shapes = fidelity.FeatureExtractorInceptionV3("seeded", ["2048"]).state_dict()
    draw = torch.Generator().manual_seed(20)
    state = {}
    for name, value in shapes.items():
        if name.endswith(("running_var", "bn.weight")):
            state[name] = torch.rand(value.shape, generator=draw) + 0.5
        elif value.ndim > 1:
            state[name] = torch.randn(value.shape, generator=draw) * (2 / value[0].numel()) ** 0.5
        elif value.is_floating_point():
            state[name] = torch.randn(value.shape, generator=draw) * 0.1
        else:
            state[name] = value
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def features(inception_file: Path) -> InceptionFeatures:
    return InceptionFeatures(inception_file, "cpu", 8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestInception:
    @pytest.mark.parametrize("size", [(480, 768), (299, 299), (130, 130), (37, 500), (1080, 1080)])
    def test_the_resizer_is_clean_fids(self, size):
        resize = pytest.importorskip("cleanfid.resize").build_resizer("clean")
        shown = picture(*size)
        ours = resize_clean(shown)
        assert ours.dtype == np.float32
        assert np.array_equal(ours, resize(shown))

    def test_features_are_torch_fidelitys(self, inception_file, features):
        fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fidelity, "load_state_dict_from_url", None)
            reference = fidelity.FeatureExtractorInceptionV3(
                "seeded", ["2048"], feature_extractor_weights_path=str(inception_file)
            )
        # At 299 x 299 neither side resizes, which is where the two protocols differ.
        shown = [picture(299, 299, seed) for seed in range(2)]
        (expected,) = reference(torch.from_numpy(np.stack(shown).transpose(0, 3, 1, 2)))
        found = features(shown)
        assert found.shape == (2, 2048)
        assert expected.std(dim=0).mean() > 0.01  # the seeded network tells pictures apart
        # The tolerance of torch-fidelity's own tests of this layer.
        assert np.abs(found - expected.numpy()).max() <= 1e-4

    def test_features_are_pytorch_fids(self, inception_file, features):
        theirs = pytest.importorskip("pytorch_fid.inception")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: load_state(inception_file))
            reference = theirs.InceptionV3(resize_input=False, normalize_input=False).eval()
        shown = picture(480, 768)
        values = (torch.from_numpy(resize_clean(shown)).permute(2, 0, 1)[None] - 128) / 128
        (expected,) = reference(values)
        assert np.abs(features([shown])[0] - expected.numpy().ravel()).max() <= 1e-4

    def test_normalisation_is_clean_fids_and_not_pytorch_fids(self, inception_file, features):
        theirs = pytest.importorskip("pytorch_fid.inception")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: load_state(inception_file))
            reference = theirs.InceptionV3(resize_input=False, normalize_input=True).eval()
        shown = picture(480, 768)
        (other,) = reference(torch.from_numpy(resize_clean(shown)).permute(2, 0, 1)[None] / 255)
        assert np.abs(features([shown])[0] - other.numpy().ravel()).max() > 1e-3

    def test_neighbours_change_no_bit(self, features):
        shown = [picture(100, 160, seed) for seed in range(3)]
        together = features(shown)
        assert np.array_equal(features(shown[1:2])[0], together[1])
        assert np.array_equal(features(shown[::-1])[::-1], together)

    def test_weights_of_another_network_are_refused(self, tmp_path):
        path = tmp_path / "other.pth"
        torch.save({"conv.weight": torch.zeros(3)}, path)
        with pytest.raises(ValueError, match="not of this network"):
            InceptionFeatures(path, "cpu", 1)

    @pytest.mark.weights
    def test_the_real_weights_fit_both_networks(self):
        fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
        path = mirror_file("inception_fid")
        reference = fidelity.FeatureExtractorInceptionV3("real", ["2048"], feature_extractor_weights_path=str(path))
        shown = picture(299, 299)
        (expected,) = reference(torch.from_numpy(shown.transpose(2, 0, 1)[None]))
        assert np.abs(InceptionFeatures(path, "cpu", 1)([shown]) - expected.numpy()).max() <= 1e-4

    @pytest.mark.shared
    def test_a_real_clip(self, inception_file, features):
        clip = SHARED / "mini" / "media" / "dialogue1_responder.mp4"
        if not clip.is_file():
            pytest.skip("the shared folder with the clips is not beside this checkout")
        theirs = pytest.importorskip("pytorch_fid.inception")
        resize = pytest.importorskip("cleanfid.resize").build_resizer("clean")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: load_state(inception_file))
            reference = theirs.InceptionV3(resize_input=False, normalize_input=False).eval()
        with av.open(str(clip)) as container:
            shown = [
                frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(2), strict=False)
            ]
        for one in shown:
            (expected,) = reference((torch.from_numpy(resize(one)).permute(2, 0, 1)[None] - 128) / 128)
            assert np.abs(features([one])[0] - expected.numpy().ravel()).max() <= 1e-4


def sides(n: int, m: int, width: int, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated sets of rows of 0 or more, as the last pooling of Inception gives them."""
    rng = np.random.default_rng(8)
    mixing = np.random.default_rng(9).normal(size=(width, width)) / np.sqrt(width)
    first, second = (np.abs(rng.normal(size=(count * rows, width)) @ mixing) for count in (n, m))
    return first, second * 1.1


def per_sample(rows: np.ndarray, each: int = 1) -> list[np.ndarray]:
    return [rows[at : at + each] for at in range(0, len(rows), each)]


class TestScalars:
    def test_fid_is_torch_fidelitys(self):
        theirs = pytest.importorskip("torch_fidelity.metric_fid")
        x, y = sides(40, 40, 96, rows=4)
        statistics = [theirs.fid_features_to_statistics(torch.from_numpy(side)) for side in (x, y)]
        expected = theirs.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        distance = FrechetDistance(per_sample(x, 4), per_sample(y, 4))
        assert distance.between(np.arange(40), np.arange(40)) == pytest.approx(expected, rel=1e-8)

    def test_fid_of_fewer_rows_than_columns_is_torch_fidelitys(self):
        theirs = pytest.importorskip("torch_fidelity.metric_fid")
        x, y = sides(60, 60, 128)
        statistics = [theirs.fid_features_to_statistics(torch.from_numpy(side)) for side in (x, y)]
        expected = theirs.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
        found = FrechetDistance(per_sample(x), per_sample(y)).between(np.arange(60), np.arange(60))
        # Of a singular product the eigenvalues that should be 0 are some 1e-17; their roots are not that small.
        assert found == pytest.approx(expected, rel=1e-6)

    def test_kid_is_torch_fidelitys_on_the_full_set(self):
        theirs = pytest.importorskip("torch_fidelity.metric_kid")
        x, y = sides(50, 50, 64)
        options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
        expected = theirs.kernel_mmd(x, y, **options, kid_kernel_poly_coef0=1.0)
        # torch-fidelity's sets are independent: candidates and references of different identities.
        distance = PolynomialMmd(per_sample(np.concatenate([x, y])), per_sample(np.concatenate([x, y])))
        assert distance.between(np.arange(50), np.arange(50, 100)) == pytest.approx(expected, rel=1e-10)

    def test_kid_of_paired_sets_is_torch_fidelitys_less_the_pairs(self):
        theirs = pytest.importorskip("torch_fidelity.metric_kid")
        x, y = sides(50, 50, 64)
        options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
        whole = theirs.kernel_mmd(x, y, **options, kid_kernel_poly_coef0=1.0)
        across = (x @ y.T / 64 + 1) ** 3
        rest = (across.sum() - np.trace(across)) / (50 * 49)
        distance = PolynomialMmd(per_sample(x), per_sample(y))
        expected = whole + 2 * across.mean() - 2 * rest
        assert distance.between(np.arange(50), np.arange(50)) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("ddof", [0, 1])
    def test_fvd_is_the_formula_with_numpy(self, ddof):
        x, y = sides(500, 500, 400)
        first, second = (np.cov(side, rowvar=False, ddof=ddof) for side in (x, y))
        roots = np.sqrt(np.linalg.eigvals(first @ second).astype(np.complex128)).real.sum()
        apart = x.mean(axis=0) - y.mean(axis=0)
        expected = apart @ apart + np.trace(first) + np.trace(second) - 2 * roots
        distance = FrechetDistance(per_sample(x), per_sample(y), ddof=ddof)
        assert distance.between(np.arange(500), np.arange(500)) == pytest.approx(float(expected), rel=1e-8)

    def test_cmmd_is_the_formula_in_float64(self):
        x, y = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides(30, 20, 32, rows=2))

        def mean(first: np.ndarray, second: np.ndarray) -> float:
            return float(np.mean([np.exp(-np.sum((a - b) ** 2) / 200) for a in first for b in second]))

        expected = 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))
        distance = GaussianMmd(per_sample(x, 2), per_sample(y, 2))
        # What is left of two sums near 1: 1e-16 of them is 1e-13 after multiplication by 1000.
        assert distance.between(np.arange(30), np.arange(20)) == pytest.approx(expected, rel=1e-9, abs=1e-11)

    @pytest.mark.weights
    @pytest.mark.slow
    def test_fvd_of_the_published_noise(self):
        path = mirror_file("i3d_torchscript")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = torch.jit.load(str(path)).eval()
        sets = []
        for seed in (1, 2):
            noise = np.random.RandomState(seed).rand(128, 16, 224, 224, 3).astype(np.float32)
            with torch.inference_mode():
                clips = (torch.from_numpy(one[None]).permute(0, 4, 1, 2, 3) for one in noise)
                sets.append([network(c, rescale=False, resize=False, return_features=True).numpy() for c in clips])
        # universome/fvd-comparison, compare_metrics.py: covariances with ddof 1, numbers of 0..1 fed as they are.
        found = FrechetDistance(*sets, ddof=1).between(np.arange(128), np.arange(128))
        assert found == pytest.approx(10.138084766713924, abs=1e-3)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded CLIP of 56 x 56 pictures, with the text side and the buffer that published files have."""
    transformers = pytest.importorskip("transformers")
    vision = {
        "hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 3, "num_attention_heads": 2,
        "image_size": 56, "patch_size": 14,
    }  # fmt: skip
    text = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(4)
    config = transformers.CLIPConfig(vision_config=vision, text_config={**text, "vocab_size": 50}, projection_dim=24)
    state = transformers.CLIPModel(config).state_dict()
    for value in state.values():
        if value.is_floating_point() and value.ndim:
            value.add_(torch.randn(value.shape), alpha=0.05)
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    path = tmp_path_factory.mktemp("weights") / "clip.bin"
    torch.save(state, path)
    return path


class TestClip:
    def test_sizes_follow_from_the_weights(self, clip_file):
        assert vision_sizes(load_state(clip_file)) == {
            "hidden_size": 128, "intermediate_size": 192, "projection_dim": 24, "num_hidden_layers": 3,
            "num_attention_heads": 2, "image_size": 56, "patch_size": 14,
        }  # fmt: skip
        with pytest.raises(ValueError, match="CLIP"):
            vision_sizes({})

    def test_the_official_sizes(self):
        transformers = pytest.importorskip("transformers")
        official = {
            "hidden_size": 1024, "intermediate_size": 4096, "projection_dim": 768, "num_hidden_layers": 24,
            "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
        }  # fmt: skip
        with torch.device("meta"):
            network = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**official))
        assert vision_sizes(network.state_dict()) == official

    def test_embeddings_are_those_of_cmmds_port(self, clip_file):
        transformers = pytest.importorskip("transformers")
        state = load_state(clip_file)
        full = transformers.CLIPConfig(
            vision_config={**vision_sizes(state), "hidden_act": "quick_gelu"},
            text_config={
                "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                "vocab_size": 50,
            },
            projection_dim=24,
        )  # fmt: skip
        model = transformers.CLIPModel(full).eval()
        model.load_state_dict(state, strict=False)
        ours = ClipImageEncoder(clip_file, "cpu")
        for seed in range(2):
            shown = picture(120, 192, seed)
            # The steps of cmmd-pytorch's embedding.py: [0, 1], bicubic without antialiasing, normalisation alone.
            values = torch.from_numpy(shown.astype(np.float32) / 255).permute(2, 0, 1)[None]
            values = torch.nn.functional.interpolate(values, size=(56, 56), mode="bicubic")
            mean, std = transformers.image_utils.OPENAI_CLIP_MEAN, transformers.image_utils.OPENAI_CLIP_STD
            values = (values - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
            with torch.no_grad():
                pooled = model.vision_model(pixel_values=values).pooler_output
                embedding = model.visual_projection(pooled)[0]
            expected = (embedding / embedding.norm()).numpy()
            found = ours(shown)
            assert found.dtype == np.float32
            assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
            assert np.abs(found - expected).max() <= 1e-6
        assert np.abs(ours(picture(120, 192, 0)) - ours(picture(120, 192, 1))).max() > 1e-3

    def test_a_state_without_the_text_side_gives_the_same(self, clip_file, tmp_path):
        from safetensors.torch import save_file

        state = {name: value for name, value in load_state(clip_file).items() if name.startswith("vi")}
        del state["vision_model.embeddings.position_ids"]
        path = tmp_path / "vision.safetensors"
        save_file({name: value.contiguous() for name, value in state.items()}, path)
        shown = picture(120, 192)
        assert np.array_equal(ClipImageEncoder(path, "cpu")(shown), ClipImageEncoder(clip_file, "cpu")(shown))
