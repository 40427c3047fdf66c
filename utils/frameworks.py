"""torch, transformers and ONNX Runtime, told before their import to be quiet and to ask nobody."""

import os

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", ORT_DISABLE_TELEMETRY="1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# torch's threads spin while they wait, seconds where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import onnxruntime
import torch
import transformers

transformers.utils.logging.disable_progress_bar()
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime", "torch", "transformers"]
