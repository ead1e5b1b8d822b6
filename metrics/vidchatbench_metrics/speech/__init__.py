"""Speech: where somebody speaks, shared by every metric that needs a voice."""

from __future__ import annotations

from vidchatbench.api import PackageFile, WeightSpec

METRICS: dict[str, str] = {}

EXTRACTORS = {"speech/silero": "vidchatbench_metrics.speech.silero:SileroSpeech"}

WEIGHTS = (
    WeightSpec(
        name="silero_vad_16k",
        file_name="silero_vad_16k_op15.onnx",
        sha256="7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
        size=1289603,
        urls=(
            "https://raw.githubusercontent.com/snakers4/silero-vad/v6.2.1/src/silero_vad/data/silero_vad_16k_op15.onnx",
            "https://raw.githubusercontent.com/snakers4/silero-vad/master/src/silero_vad/data/silero_vad_16k_op15.onnx",
        ),
        package=PackageFile(module="silero_vad", file="data/silero_vad_16k_op15.onnx", requirement="silero-vad==6.2.3"),
        license="MIT",
        commercial_use=True,
        origin="Silero Team, silero-vad 6; trained on speech of over 100 languages (data not published)",
    ),
)
