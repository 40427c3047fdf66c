"""Texts for comparing answers: many lengths, alphabets, cases and signs, always the same."""

import random
from pathlib import Path

COUNT = 200

WORDS = (
    "the delivery was late again and nobody answers why is this so slow great support thanks "
    "помогите мне заказ не пришёл верните деньги всё отлично спасибо большое "
    "das gerät läuft nicht mehr très déçu del servicio 我的 订单 什么时候 到 パスワード 배송 "
    "أريد إلغاء שירות मदद ขอบคุณ 😀 👍🏽 🚀 e=mc² https://example.org/a?b=c 100% #fail @you "
    'WHY?! don\'t re-send "quoted" back\\slash naïve ﬁne Å Å zwj👩‍👩‍👧 ok'
).split()


def texts(count: int = COUNT) -> list[str]:
    """Texts of 1 to 120 words; fewer are the first of more."""
    # Not for secrets: the same texts in every run.
    chooser = random.Random(20)
    lengths = [1, 2, 3, 5, 8, 13, 21, 34, 60, 120]
    return [" ".join(chooser.choices(WORDS, k=lengths[i % len(lengths)])) for i in range(count)]


def write_texts(path: Path) -> None:
    """One text a line."""
    path.write_text("".join(f"{text}\n" for text in texts()), encoding="utf-8")
