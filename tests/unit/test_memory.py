"""backends/classifier/memory.py."""

from memory import Memory


def test_what_was_noted_is_recalled() -> None:
    memory: Memory[str] = Memory(2)
    memory.note(("one",), "first")
    assert memory.recall(("one",)) == "first"
    assert memory.recall(("two",)) is None


def test_what_was_not_asked_for_the_longest_is_forgotten_first() -> None:
    memory: Memory[str] = Memory(2)
    memory.note(("one",), "first")
    memory.note(("two",), "second")
    memory.recall(("one",))
    memory.note(("three",), "third")
    assert [memory.recall((text,)) for text in ("one", "two", "three")] == ["first", None, "third"]


def test_pairs_that_read_alike_are_told_apart() -> None:
    memory: Memory[str] = Memory(9)
    memory.note(("ab", "c"), "first")
    assert memory.recall(("a", "bc")) is None
    assert memory.recall(("abc",)) is None


def test_a_memory_of_nothing_remembers_nothing() -> None:
    memory: Memory[str] = Memory(0)
    memory.note(("one",), "first")
    assert memory.recall(("one",)) is None
