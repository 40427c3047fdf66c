"""Fill a Triton model repository from a checkpoint of BERT's family."""

import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

HERE = Path(__file__).resolve().parent

STEPS = ("text_preprocessing", "model_onnx", "post_processing", "classifier")
INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def fill(model: Path, target: Path) -> None:
    """Write configurations, steps, tokenizer, labels and the exported graph to `target`."""
    checkpoint = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    labels = [checkpoint.config.id2label[index] for index in range(checkpoint.config.num_labels)]
    for step in STEPS:
        version = target / step / "1"
        version.mkdir(parents=True)
        text = Template((HERE / f"{step}.pbtxt").read_text()).substitute(classes=len(labels))
        (target / step / "config.pbtxt").write_text(text)
        if (HERE / f"{step}.py").is_file():
            shutil.copy(HERE / f"{step}.py", version / "model.py")
    tokenizer.save_pretrained(target / "text_preprocessing" / "1" / "tokenizer")
    (target / "post_processing" / "1" / "labels.json").write_text(json.dumps(labels))
    _export(checkpoint, tokenizer, target / "model_onnx" / "1" / "model.onnx")


class _Logits(torch.nn.Module):  # type: ignore[misc]
    """The checkpoint with its inputs in the order of INPUTS."""

    def __init__(self, checkpoint: Any) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def forward(self, *tensors: Any) -> Any:
        return self.checkpoint(**dict(zip(INPUTS, tensors, strict=True))).logits


def _export(checkpoint: Any, tokenizer: Any, path: Path) -> None:
    tokens = tokenizer(["One text.", "Another, longer one."], padding=True, return_tensors="pt")
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS}
    torch.onnx.export(
        _Logits(checkpoint),
        tuple(tokens[name] for name in INPUTS),
        str(path),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes=axes | {"logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
