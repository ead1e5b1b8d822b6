"""FaceNet against facenet-pytorch itself: the network's input, the embedding and the metric, on seeded weights.

The official weights are not needed: what a state dict makes of a picture is the same question for any state dict.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vidchatbench.api import ClipInfo, ExtractorContext, Feature, Sample, Side
from vidchatbench.media.frames import GridFrame, Picture
from vidchatbench.plugins.catalogue import load_catalogue
from vidchatbench_metrics.faces.mtcnn import FaceDetector
from vidchatbench_metrics.faces.timeline import FaceTimeline
from vidchatbench_metrics.faces.torchvision_import import import_torchvision
from vidchatbench_metrics.identity.embeddings import FacenetFrames
from vidchatbench_metrics.identity.facenet_network import FacenetEncoder, crop_face, standardised

torch = pytest.importorskip("torch")
CLIP = Path(__file__).resolve().parents[2].parent / "shared" / "mini" / "media" / "dialogue1_responder.mp4"
SAMPLE_SIDE = Side(media="a.mp4", sha256="0" * 64, speaker_id="s")
SAMPLE = Sample(id="x", task="dialogue", language="en", initiator=SAMPLE_SIDE, responder=SAMPLE_SIDE)

# protocols.md 6.2 has no tolerance for embeddings; both sides run the same float32 network on one thread, so anything
# above rounding is a difference of input or of weights.
TOLERANCE = 1e-5
BOXES = [
    [40.3, 25.9, 131.7, 140.2],
    [-12.6, -8.0, 75.5, 90.99],
    [150.0, 60.4, 400.0, 300.0],
    [10.0, 10.0, 51.0, 29.0],
]

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reference() -> Any:
    """The package's network, with weights and statistics that no layer leaves alone."""
    import_torchvision()
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(5)
    network = InceptionResnetV1(pretrained=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
            torch.nn.init.normal_(module.running_mean, 0.0, 0.05)
            torch.nn.init.uniform_(module.running_var, 0.2, 0.6)
    return network


@pytest.fixture(scope="module")
def weights(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network's state dict as it is published, that is with the layer of the classifier."""
    path = tmp_path_factory.mktemp("facenet") / "seeded.pt"
    logits = {"logits.weight": torch.zeros(3, 512), "logits.bias": torch.zeros(3)}
    torch.save({**reference.state_dict(), **logits}, path)
    return path


@pytest.fixture(scope="module")
def encoder(weights: Path) -> FacenetEncoder:
    return FacenetEncoder(weights, "cpu")


def scene(seed: int) -> NDArray[np.uint8]:
    """A picture of 200 x 260 with coarse and fine detail."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (10, 13, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((260, 200), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + generator.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def published_input(picture: NDArray[np.uint8], box: list[float]) -> Any:
    """facenet-pytorch's own way from a Pillow image and a box to the network's input."""
    from facenet_pytorch.models.mtcnn import fixed_image_standardization
    from facenet_pytorch.models.utils.detect_face import extract_face

    face = extract_face(Image.fromarray(picture), np.array(box), image_size=160, margin=0)
    return fixed_image_standardization(face)[None]


@pytest.mark.parametrize("box", BOXES)
def test_the_networks_input_is_bit_equal(reference: Any, box: list[float]) -> None:
    del reference
    picture = scene(1)
    ours = crop_face(picture, np.array(box))
    assert ours is not None
    np.testing.assert_array_equal(standardised(ours), published_input(picture, box).numpy())


@pytest.mark.parametrize("box", BOXES)
def test_the_embedding_is_the_packages(reference: Any, encoder: FacenetEncoder, box: list[float]) -> None:
    picture = scene(2)
    with torch.inference_mode():
        expected = reference(published_input(picture, box))[0].numpy()
    ours = encoder.encode(picture, np.array(box), np.zeros((5, 2)))
    assert ours is not None
    np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE)
    assert np.linalg.norm(ours.astype(np.float64)) == pytest.approx(1.0, abs=1e-6)


def test_the_network_tells_pictures_apart(encoder: FacenetEncoder) -> None:
    # Without this, a network that ignored its input would pass every comparison above.
    first, second = (encoder.encode(scene(seed), np.array(BOXES[0]), np.zeros((5, 2))) for seed in (1, 2))
    assert first is not None
    assert second is not None
    assert float(first @ second) < 1 - 1e-3


def test_an_incomplete_or_foreign_file_is_refused(reference: Any, tmp_path: Path) -> None:
    state = dict(reference.state_dict())
    del state["last_linear.weight"]
    torch.save({**state, "head.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"last_linear\.weight.*head\.weight"):
        FacenetEncoder(tmp_path / "other.pt", "cpu")


def test_the_metric_is_the_packages_from_pictures_to_the_score(reference: Any, weights: Path) -> None:
    pictures = [scene(seed) for seed in range(3)]
    boxes = [[40.0 + 3 * k, 20.0, 140.0 + 3 * k, 130.0] for k in range(3)]
    with torch.inference_mode():
        rows = [reference(published_input(p, b))[0] for p, b in zip(pictures, boxes, strict=True)]
    expected = float(torch.stack([rows[0] @ row for row in rows]).mean())

    name = "sha256:" + "1" * 64
    extractor = FacenetFrames(network=name, fps=5)
    extractor.setup(ExtractorContext("cpu", 16, {name: weights}))
    faces = FaceTimeline(5)
    for box in boxes:
        faces.add_key(np.array([box]), np.zeros((1, 5, 2)), np.ones(1))
    faces.close()
    session = extractor.begin(ClipInfo(260, 200, 0.6), {"faces": faces})
    for index, picture in enumerate(pictures):
        session.push(GridFrame(Picture(picture), index, Fraction(index, 5)))
    frames = session.finish()
    given = Feature({"embedding": frames["embedding"][0]}, {"time": 0.0})
    metric = load_catalogue().metric("identity/facenet", network=name, fps=5)
    score = metric.score(SAMPLE, {"frames": frames, "real_frames": frames, "image": given})
    assert score.value == pytest.approx(expected, abs=TOLERANCE)
    assert 0 < expected < 1 - 1e-4


@pytest.mark.shared
def test_equals_the_packages_own_extraction_on_a_real_face(reference: Any, encoder: FacenetEncoder) -> None:
    from facenet_pytorch import MTCNN

    if not CLIP.is_file():
        pytest.skip("the shared clip dialogue1_responder is not beside the checkout")
    with av.open(str(CLIP)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    (faces,) = FaceDetector("cpu", 32).detect([picture])
    assert len(faces.boxes) > 0
    cutter = MTCNN(image_size=160, margin=0, post_process=True, keep_all=True, device="cpu")
    tensors = cutter.extract(Image.fromarray(picture), faces.boxes, None)
    with torch.inference_mode():
        expected = reference(tensors).numpy()
    for box, landmarks, tensor, row in zip(faces.boxes, faces.landmarks, tensors, expected, strict=True):
        cut = crop_face(picture, box)
        assert cut is not None
        np.testing.assert_array_equal(standardised(cut)[0], tensor.numpy())
        ours = encoder.encode(picture, box, landmarks)
        assert ours is not None
        np.testing.assert_allclose(ours, row, rtol=0, atol=TOLERANCE)
