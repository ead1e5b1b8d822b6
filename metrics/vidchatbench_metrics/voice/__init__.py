"""Voice metrics: whether it is the right voice (SIM-o, Resemblyzer), and how natural it sounds (UTMOS, DNSMOS).

Only plain data lives here, so that importing the family loads no model library.
"""

from __future__ import annotations

from vidchatbench.api import PackageFile, PackagePart, WeightSpec

METRICS: dict[str, str] = {
    "voice/resemblyzer": "vidchatbench_metrics.voice.resemblyzer:VoiceSimilarity",
    "voice/dnsmos_sig": "vidchatbench_metrics.voice.dnsmos:DnsmosSignal",
    "voice/dnsmos_bak": "vidchatbench_metrics.voice.dnsmos:DnsmosBackground",
    "voice/dnsmos_ovr": "vidchatbench_metrics.voice.dnsmos:DnsmosOverall",
    "voice/dnsmos_p808": "vidchatbench_metrics.voice.dnsmos:DnsmosP808",
    "voice/sim_o": "vidchatbench_metrics.voice.sim_o:SimO",
    "voice/utmos": "vidchatbench_metrics.voice.utmos:Utmos",
}

EXTRACTORS: dict[str, str] = {
    "voice/resemblyzer_embedding": "vidchatbench_metrics.voice.resemblyzer:ResemblyzerEmbedding",
    "voice/dnsmos_scores": "vidchatbench_metrics.voice.dnsmos:DnsmosScores",
    "voice/wavlm_sv_embedding": "vidchatbench_metrics.voice.sim_o:WavlmSpeakerEmbedding",
    "voice/utmos_scores": "vidchatbench_metrics.voice.utmos:UtmosScores",
}

_DNS_CHALLENGE = "https://raw.githubusercontent.com/microsoft/DNS-Challenge/master/DNSMOS/DNSMOS"
_DNS_LICENSE = "MIT (package speechmos); in the DNS-Challenge repository code is MIT and other content CC BY 4.0"

WEIGHTS: tuple[WeightSpec, ...] = (
    WeightSpec(
        name="resemblyzer_encoder",
        file_name="resemblyzer_pretrained.pt",
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        size=17090379,
        urls=("https://raw.githubusercontent.com/resemble-ai/Resemblyzer/master/resemblyzer/pretrained.pt",),
        parts=(PackagePart(requirement="Resemblyzer==0.1.4", path="resemblyzer/pretrained.pt"),),
        # Its own requirements cannot be met where no compiler is at hand; only the file is wanted.
        package=PackageFile(module="resemblyzer", file="pretrained.pt", requirement="--no-deps Resemblyzer==0.1.4"),
        license="Apache-2.0",
        commercial_use=True,
        origin="Resemble AI (Corentin Jemine), GE2E speaker encoder; trained on LibriSpeech, VoxCeleb1 and VoxCeleb2",
    ),
    WeightSpec(
        name="dnsmos_p835",
        file_name="dnsmos_sig_bak_ovr.onnx",
        sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
        size=1157965,
        urls=(f"{_DNS_CHALLENGE}/sig_bak_ovr.onnx",),
        package=PackageFile(
            module="speechmos", file="dnsmos_models/sig_bak_ovr.onnx", requirement="speechmos==0.0.1.1"
        ),
        license=_DNS_LICENSE,
        commercial_use=True,
        origin="Microsoft, DNS Challenge; trained on crowdsourced ITU-T P.835 ratings of noise-suppressed speech",
    ),
    WeightSpec(
        name="dnsmos_p808",
        file_name="dnsmos_model_v8.onnx",
        sha256="9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91",
        size=224860,
        urls=(f"{_DNS_CHALLENGE}/model_v8.onnx",),
        package=PackageFile(module="speechmos", file="dnsmos_models/model_v8.onnx", requirement="speechmos==0.0.1.1"),
        license=_DNS_LICENSE,
        commercial_use=True,
        origin="Microsoft, DNS Challenge; trained on crowdsourced ITU-T P.808 ratings of noise-suppressed speech",
    ),
    WeightSpec(
        name="wavlm_large_finetune",
        file_name="wavlm_large_finetune.pth",
        # Not published by its authors; ten public projects pin this hash, two of them for the authors' own address.
        sha256="51f07e3b94d9e0262a6a675ef5a087be3dd09e8c62e9d886827f44f82fe7f94b",
        size=1_301_926_579,
        urls=(
            "https://huggingface.co/subatomicseer/wavlm-large-sv-ckpts/resolve/main/wavlm_large_finetune.pth",
            "https://huggingface.co/k2-fsa/TTS_eval_models/resolve/main/speaker_similarity/wavlm_large_finetune.pth",
            "https://huggingface.co/popsoda2002/seedtts-wavlm-sim/resolve/main/wavlm_large_finetune.pth",
        ),
        license="CC BY-SA 3.0: commercial use permitted, share alike (licence file of microsoft/UniSpeech)",
        commercial_use=True,
        origin="Microsoft, UniSpeech; WavLM-large with ECAPA-TDNN, fine-tuned on VoxCeleb2; EER on VoxCeleb1-O 0.431 %",
    ),
    WeightSpec(
        name="utmos22_strong",
        file_name="utmos22_strong_step7459_v1.pt",
        sha256="38aa51ab79e2a4e09a1449758a4b37e9cbb2e8235a49662a732d33a9ba1e9bff",
        size=None,
        urls=("https://github.com/tarepan/SpeechMOS/releases/download/v1.0.0/utmos22_strong_step7459_v1.pt",),
        license="MIT",
        commercial_use=True,
        origin="Saruwatari lab, University of Tokyo, converted by tarepan; wav2vec 2.0 base fine-tuned on BVCC ratings",
    ),
)
