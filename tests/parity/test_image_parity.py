"""Frame metrics against their references: scikit-image for SSIM and PSNR, OpenCV for Laplacian and alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench_metrics.faces.alignment import TEMPLATE, align_face, similarity_transform, warp_affine
from vidchatbench_metrics.video_quality.psnr_ssim import PSNR_CAP, WangSsim, psnr, squared_error
from vidchatbench_metrics.video_quality.sharpness import laplacian_variance

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"

# protocols.md 4.2: scikit-image's Wang settings on the three images of the LPIPS repository.
PUBLISHED = {"p0": (18.045541, 0.436746), "p1": (13.867510, 0.295903)}
# protocols.md 12.2: variance of the Laplacian of the 64 x 64 images as they are.
LAPLACIANS = {"ref": 4317.664, "p0": 21.065, "p1": 3465.550}

Picture = NDArray[np.uint8]


def published_image(name: str) -> Picture:
    path = FIXTURES / f"lpips_ex_{name}.png"
    if not path.is_file():
        pytest.skip("the shared folder with the published images is not beside this checkout")
    return np.asarray(Image.open(path).convert("RGB"))


def noisy_pair(seed: int, height: int, width: int, noise: float) -> tuple[Picture, Picture]:
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    clean = 127 + 80 * np.sin(x / 17)[..., None] * np.cos(y / 11)[..., None] * np.array([1.0, 0.7, -0.5])
    first = np.clip(clean, 0, 255).astype(np.uint8)
    second = np.clip(clean + generator.normal(0, noise, clean.shape), 0, 255).astype(np.uint8)
    return first, second


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_values_of_psnr_and_ssim(name: str) -> None:
    reference, distorted = published_image("ref"), published_image(name)
    expected_psnr, expected_ssim = PUBLISHED[name]
    assert psnr(squared_error(reference, distorted)) == pytest.approx(expected_psnr, abs=1e-6)
    assert WangSsim("cpu")(reference, distorted) == pytest.approx(expected_ssim, abs=1e-5)


@pytest.mark.parametrize(("height", "width"), [(480, 768), (11, 11), (37, 53), (64, 64)])
@pytest.mark.parametrize("noise", [0.5, 8.0, 60.0])
def test_psnr_and_ssim_equal_scikit_image(height: int, width: int, noise: float) -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first, second = noisy_pair(height + int(noise), height, width, noise)
    expected = metrics.structural_similarity(
        first,
        second,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert WangSsim("cpu")(first, second) == pytest.approx(expected, abs=2e-6)
    assert psnr(squared_error(first, second)) == pytest.approx(
        metrics.peak_signal_noise_ratio(first, second, data_range=255), abs=1e-9
    )


def test_flat_pictures_do_not_upset_float32() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first = np.full((64, 64, 3), 250, np.uint8)
    second = np.full((64, 64, 3), 251, np.uint8)
    expected = metrics.structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=2
    )
    # The worst case for float32: a bright plane, where the variance is the difference of two large equal numbers.
    assert WangSsim("cpu")(first, second) == pytest.approx(expected, abs=1e-4)


def test_identical_pictures_reach_the_ideal() -> None:
    first, _ = noisy_pair(1, 48, 64, 1.0)
    assert psnr(squared_error(first, first.copy())) == PSNR_CAP
    assert WangSsim("cpu")(first, first.copy()) == 1.0


def test_a_swap_of_the_pictures_changes_nothing_and_more_noise_is_worse() -> None:
    ssim = WangSsim("cpu")
    clean, little = noisy_pair(3, 64, 96, 5.0)
    _, much = noisy_pair(3, 64, 96, 50.0)
    assert squared_error(clean, little) == squared_error(little, clean)
    assert ssim(clean, little) == pytest.approx(ssim(little, clean), abs=1e-7)
    assert squared_error(clean, little) < squared_error(clean, much)
    assert ssim(clean, little) > ssim(clean, much)


@pytest.mark.shared
@pytest.mark.parametrize("name", sorted(LAPLACIANS))
def test_published_values_of_the_laplacian(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    # The published figures are of OpenCV's grey; ours differs from it by its rounding alone.
    grey = cv2.cvtColor(published_image(name), cv2.COLOR_RGB2GRAY)
    assert laplacian_variance(grey) == pytest.approx(LAPLACIANS[name], abs=6e-4)


@pytest.mark.parametrize("shape", [(128, 128), (480, 768), (2, 2), (5, 3)])
def test_laplacian_equals_opencv(shape: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    grey = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    assert laplacian_variance(grey) == pytest.approx(float(cv2.Laplacian(grey, cv2.CV_64F).var()), rel=1e-12)


def test_alignment_fits_the_template_and_equals_scikit_image() -> None:
    transform = pytest.importorskip("skimage.transform")
    generator = np.random.default_rng(11)
    for _ in range(20):
        angle, scale = generator.uniform(-0.6, 0.6), generator.uniform(0.3, 4.0)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = TEMPLATE @ turn.T + generator.uniform(-50, 300, 2) + generator.normal(0, 1.0, TEMPLATE.shape)
        expected = transform.SimilarityTransform.from_estimate(points, TEMPLATE)
        assert similarity_transform(points, TEMPLATE) == pytest.approx(expected.params[:2], abs=1e-9)


def test_alignment_never_mirrors() -> None:
    mirrored = TEMPLATE * np.array([-1.0, 1.0])
    matrix = similarity_transform(mirrored, TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_alignment_of_coinciding_points_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity_transform(np.ones((5, 2)), TEMPLATE)


def test_aligned_face_equals_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    # OpenCV 4 rounds coordinates to 1/32 of a pixel: up to 255/64 levels an axis where neighbours are black and white.
    most, share = (1, 1e-3) if int(cv2.__version__.split(".")[0]) > 4 else (7, 0.2)
    generator = np.random.default_rng(5)
    for picture in (noisy_pair(5, 400, 500, 0.0)[0], generator.integers(0, 256, (90, 130, 3), dtype=np.uint8)):
        for _ in range(10):
            landmarks = TEMPLATE * generator.uniform(0.4, 2.5) + generator.uniform(-60, 120, 2)
            landmarks += generator.normal(0, 2, (5, 2))
            expected = cv2.warpAffine(picture, similarity_transform(landmarks, TEMPLATE), (112, 112), borderValue=0.0)
            apart = np.abs(align_face(picture, landmarks).astype(int) - expected)
            assert apart.max() <= most
            assert (apart > 0).mean() <= share


def test_warped_levels_are_rounded_to_the_nearest() -> None:
    columns = np.repeat(np.arange(0, 80, 2, dtype=np.uint8)[None, :, None], 4, axis=0)
    for shift, expected in ((0.125, 20), (0.375, 21), (0.625, 21), (0.875, 22)):
        level = warp_affine(columns, np.array([[1, 0, -shift], [0, 1, 0]]), (range(1, 2), range(10, 11)))
        assert level.tolist() == [[[expected]]], "20 + 2 times the shift"


def test_a_picture_fades_to_black_over_a_whole_pixel_at_its_edges() -> None:
    # Pillow repeats the last pixel for half a pixel and then stops, which is off by up to 127 levels.
    white = np.full((10, 10, 3), 200, np.uint8)
    row = warp_affine(white, np.array([[1, 0, 1.25], [0, 1, 0]]), (range(5, 6), range(13)))[0, :, 0]
    assert row.tolist() == [0, 150, *[200] * 9, 50, 0]
    column = warp_affine(white, np.array([[1, 0, 0], [0, 1, 1.25]]), (range(13), range(5, 6)))[:, 0, 2]
    assert column.tolist() == row.tolist()


def test_a_region_is_the_same_part_of_the_whole() -> None:
    picture, _ = noisy_pair(7, 300, 200, 0.0)
    landmarks = TEMPLATE * 1.3 + [20.5, -10.25]
    region = (range(84, 102), range(40, 72))
    assert np.array_equal(align_face(picture, landmarks, region), align_face(picture, landmarks)[84:102, 40:72])


def test_aligned_face_outside_the_picture_is_black() -> None:
    picture = np.full((60, 60, 3), 200, np.uint8)
    aligned = align_face(picture, TEMPLATE - 56)
    assert aligned[:40, :40].max() == 0
    assert aligned[90:, 90:].min() == 200
    assert align_face(picture, TEMPLATE + 500).max() == 0
