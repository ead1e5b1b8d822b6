"""Audio-visual sync: whether the lips move with the voice, by SyncNet or by the mouth's opening.

Picture and sound are two features, so that the sound of another clip can be put under a picture without running a
network again. Only plain data lives here, so that importing the family loads no model library.
"""

from __future__ import annotations

from vidchatbench.api import WeightSpec

METRICS: dict[str, str] = {
    "av_sync/lse_c": "vidchatbench_metrics.av_sync.lse:Confidence",
    "av_sync/lse_d": "vidchatbench_metrics.av_sync.lse:Distance",
    "av_sync/offset": "vidchatbench_metrics.av_sync.lse:Offset",
    "av_sync/lse_c_sgc": "vidchatbench_metrics.av_sync.lse:ConfidenceSgc",
    "av_sync/lse_d_sgc": "vidchatbench_metrics.av_sync.lse:DistanceSgc",
    "av_sync/offset_sgc": "vidchatbench_metrics.av_sync.lse:OffsetSgc",
    "av_sync/lse_c_speech": "vidchatbench_metrics.av_sync.lse:ConfidenceInSpeech",
    "av_sync/lse_d_speech": "vidchatbench_metrics.av_sync.lse:DistanceInSpeech",
    "av_sync/mouth_envelope": "vidchatbench_metrics.av_sync.mouth_envelope:MouthEnvelope",
}

EXTRACTORS: dict[str, str] = {
    "av_sync/syncnet_picture": "vidchatbench_metrics.av_sync.picture:SyncNetPicture",
    "av_sync/syncnet_sound": "vidchatbench_metrics.av_sync.sound:SyncNetSound",
    "av_sync/mouth_darkness": "vidchatbench_metrics.av_sync.mouth_envelope:MouthDarkness",
    "av_sync/sound_energy": "vidchatbench_metrics.av_sync.mouth_envelope:SoundEnergy",
}

WEIGHTS: tuple[WeightSpec, ...] = (
    WeightSpec(
        name="syncnet_v2",
        file_name="syncnet_v2.model",
        sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
        git_blob="d714bbf3b30324ced69e3815fc41ae6dc519303c",
        size=54_573_114,
        urls=(
            "https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            "https://huggingface.co/ByteDance/LatentSync-1.5/resolve/main/auxiliary/syncnet_v2.model",
        ),
        license="no licence stated for the weights; the code around them is MIT",
        commercial_use=False,
        origin="SyncNet by Joon Son Chung and Andrew Zisserman (VGG, Oxford), trained on BBC broadcasts",
    ),
)
