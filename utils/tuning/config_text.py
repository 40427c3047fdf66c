"""Settings in the text of a config.pbtxt: what they say is changed, all else stays."""

import re
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from utils.errors import UserError
from utils.tuning.settings import Settings

DELAY = "max_queue_delay_microseconds"

BLOCK = re.compile(r"^dynamic_batching\s*:?\s*\{", re.MULTILINE)


def changed_text(text: str, settings: Settings, path: Path) -> str:
    """The text with these settings.

    Args:
        text: of a configuration that can be parsed.
        settings: to write.
        path: for errors.

    Raises:
        UserError: it is written in a form that cannot be changed without touching more.
    """
    wanted = ModelConfig()
    text_format.Parse(text, wanted)
    for name, value in settings.parameters:
        if wanted.parameters[name].string_value != value:
            text = _with_parameter(text, name, value)
        wanted.parameters[name].string_value = value
    if settings.together:
        wanted.dynamic_batching.SetInParent()
        wanted.dynamic_batching.max_queue_delay_microseconds = settings.delay
    else:
        wanted.ClearField("dynamic_batching")
    text = _with_batching(text, settings)
    try:
        same = text_format.Parse(text, ModelConfig()) == wanted
    except text_format.ParseError:
        same = False
    if not same:
        raise UserError(
            path,
            f"cannot be given the settings {settings.name!r}",
            "one `parameters { … }` a line and dynamic_batching from the start of a line can",
        )
    return text


def _with_parameter(text: str, name: str, value: str) -> str:
    written = re.compile(
        rf'(key\s*:\s*"{re.escape(name)}"\s*,?\s*value\s*:?\s*\{{\s*string_value\s*:\s*)"[^"]*"'
    )
    found = [match for match in written.finditer(text) if not _in_comment(text, match.start())]
    if found:
        return text[: found[-1].end(1)] + f'"{value}"' + text[found[-1].end() :]
    line = f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n'
    lines = text.splitlines(keepends=True)
    others = [number for number, other in enumerate(lines) if other.startswith("parameters {")]
    # Beside the others, unless the last of them goes over several lines.
    place = others[-1] + 1 if others and lines[others[-1]].rstrip().endswith("}") else len(lines)
    return "".join([*_ended(lines[:place]), line, *lines[place:]])


def _with_batching(text: str, settings: Settings) -> str:
    match = BLOCK.search(text)
    if not settings.together:
        return _without(text, match.start(), _block_end(text, match.end())) if match else text
    if match is None:
        field = f" {DELAY}: {settings.delay} " if settings.delay else " "
        return "".join(_ended([text])) + f"\ndynamic_batching {{{field}}}\n"
    start, end = match.end(), _block_end(text, match.end())
    return text[:start] + _with_delay(text[start:end], settings.delay) + text[end:]


def _with_delay(block: str, delay: int) -> str:
    """The inside of the block, up to and with its last brace."""
    written = re.search(rf"\s*\b{DELAY}\s*:\s*\d+[ \t]*[,;]?", block)
    if written and not delay:
        return block[: written.start()] + block[written.end() :]
    if written:
        return re.sub(rf"(\b{DELAY}\s*:\s*)\d+", rf"\g<1>{delay}", block, count=1)
    if not delay:
        return block
    separator = "\n  " if "\n" in block else " "
    return f"{separator}{DELAY}: {delay}" + (block if block[:1].isspace() else f" {block}")


def _block_end(text: str, start: int) -> int:
    """Behind the brace that closes what `start` is in."""
    depth = 1
    for place in range(start, len(text)):
        if text[place] in "{}" and not _in_comment(text, place):
            depth += 1 if text[place] == "{" else -1
            if not depth:
                return place + 1
    return len(text)


def _without(text: str, start: int, end: int) -> str:
    """Without these lines, and without a second empty one where they were."""
    before, after = text[:start], text[end:].lstrip(" \t").removeprefix("\n")
    return before + (after.removeprefix("\n") if before.endswith("\n\n") else after)


def _in_comment(text: str, place: int) -> bool:
    return "#" in text[text.rfind("\n", 0, place) + 1 : place]


def _ended(lines: list[str]) -> list[str]:
    """With a line end behind the last."""
    return [*lines[:-1], lines[-1].removesuffix("\n") + "\n"] if lines else lines
