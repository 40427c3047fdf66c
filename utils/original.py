"""What the original model says, by transformers alone: the reference of every gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from utils.artifacts import Answer, Behaviour
from utils.checkpoint import Classifier
from utils.errors import UserError, first_line
from utils.frameworks import torch, transformers
from utils.samples import Example
from utils.served import HEAD_SHARE

# [texts, classes]
Logits = npt.NDArray[np.float32]

# A row of the graph: tensor name to one value for each token.
Row = dict[str, list[int]]

MERGES = {"mean": torch.mean, "max": torch.amax}


def original_rows(
    classifier: Classifier, behaviour: Behaviour, example: Example
) -> tuple[list[Row], bool]:
    """The rows that transformers' tokenizer makes of an example, and whether they lack a part."""
    # As batches of one: alone, transformers takes an empty second text for none.
    texts = [[example.text]] if example.text_pair is None else [[example.text], [example.text_pair]]
    (whole,) = _rows(classifier.tokenizer(*texts, return_special_tokens_mask=True))
    special = whole.pop("special_tokens_mask")
    if len(special) <= behaviour.max_length:
        return [whole], False
    if behaviour.long_text == "head-tail":
        return [_head_tail(whole, special, behaviour.max_length)], True
    rows = _rows(
        classifier.tokenizer(
            *texts,
            truncation=True,
            max_length=behaviour.max_length,
            stride=behaviour.stride,
            return_overflowing_tokens=behaviour.long_text == "window",
        )
    )
    if behaviour.long_text == "truncate":
        return rows, True
    return rows[: behaviour.max_windows], len(rows) > behaviour.max_windows


def original_logits(
    classifier: Classifier, behaviour: Behaviour, examples: Sequence[Example]
) -> Logits:
    """PyTorch's logits [texts, classes], every row alone and so without padding."""
    return np.stack(
        [
            _merged(classifier, behaviour, original_rows(classifier, behaviour, example)[0])
            for example in examples
        ]
    )


def reference_answers(
    classifier: Classifier,
    behaviour: Behaviour,
    function: str | None,
    labels: dict[int, str],
    examples: Sequence[Example],
    logits: Logits,
) -> list[Answer]:
    """What transformers' own text-classification pipeline answers.

    A text that the pipeline would treat in its own way, not in ours, gets the pipeline's last step
    alone: where texts are not just truncated, and where a second text is empty, which the pipeline
    takes for none.

    Args:
        classifier: the checkpoint.
        behaviour: how texts are treated.
        function: the user's; None for the pipeline's own choice.
        labels: class to label.
        examples: the texts.
        logits: the original's, [texts, classes].
    """
    classifier.model.config.id2label = labels
    classify = transformers.pipeline(
        "text-classification", model=classifier.model, tokenizer=classifier.tokenizer, device="cpu"
    )
    answers = []
    _, _, options = classify._sanitize_parameters(function_to_apply=function, top_k=None)
    for example, merged in zip(examples, logits, strict=True):
        _, truncated = original_rows(classifier, behaviour, example)
        if behaviour.long_text == "truncate" and example.text_pair != "":
            text: Any = example.text
            if example.text_pair is not None:
                text = {"text": example.text, "text_pair": example.text_pair}
            ranked = classify(
                text,
                top_k=None,
                function_to_apply=function,
                truncation=True,
                max_length=behaviour.max_length,
            )
        else:
            ranked = classify.postprocess({"logits": torch.from_numpy(merged[None])}, **options)
        scores = {item["label"]: float(item["score"]) for item in ranked}
        answers.append(
            Answer(
                example.text,
                example.text_pair,
                merged.tolist(),
                [scores[label] for label in labels.values()],
                truncated,
            )
        )
    return answers


def _rows(encoded: Mapping[str, list[list[int]]]) -> list[Row]:
    names = encoded.keys() - {"overflow_to_sample_mapping"}
    count = len(encoded["input_ids"])
    return [{name: encoded[name][index] for name in names} for index in range(count)]


def _merged(classifier: Classifier, behaviour: Behaviour, rows: list[Row]) -> Logits:
    logits = torch.cat([run_original(classifier, _tensors([row])) for row in rows])
    merged: Logits = MERGES[behaviour.merge](logits, dim=0).numpy()
    return merged


def _tensors(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def run_original(classifier: Classifier, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Logits [rows, classes] of token tensors [rows, tokens].

    Raises:
        UserError: the model cannot be run on them.
    """
    inputs = {name: tensors[name] for name in classifier.input_names}
    try:
        with torch.inference_mode():
            return classifier.model(**inputs).logits.float()
    except Exception as error:
        raise UserError(type(classifier.model).__name__, f"fails: {first_line(error)}") from error


def _head_tail(whole: Row, special: list[int], max_length: int) -> Row:
    """The special tokens, and of the others so many from both ends that the row is full."""
    others = [place for place, mark in enumerate(special) if not mark]
    # A mark inside is a special token that the text itself names.
    first, last = others[0], others[-1]
    room = max_length - first - (len(special) - 1 - last)
    head = round(room * HEAD_SHARE)
    keep = [
        *range(first + head),
        *range(last + 1 - room + head, len(special)),
    ]
    return {name: [values[place] for place in keep] for name, values in whole.items()}
