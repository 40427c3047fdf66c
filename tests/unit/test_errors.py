"""utils/errors.py."""

from collections.abc import Callable
from pathlib import Path

import pytest

from utils.errors import UsageError, UserError, first_line, run_command


def ending(main: Callable[[], None]) -> int:
    """The exit status that run_command ends with."""
    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def raising(error: BaseException) -> Callable[[], None]:
    """A main that raises."""

    def main() -> None:
        raise error

    return main


def test_an_error_reads_subject_problem_and_hint() -> None:
    assert str(UserError(Path("/a"), "is absent", "make it")) == "/a: is absent (make it)"


def test_an_error_without_hint_has_no_parentheses() -> None:
    assert str(UserError("a", "is absent")) == "a: is absent"


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\u2028", "\x0b", "\x85"])
def test_an_error_is_one_line_whatever_it_is_about(separator: str) -> None:
    error = UserError(f"sub{separator}ject", f"pro{separator}blem", f"hi{separator}nt")
    assert str(error) == "sub ject: pro blem (hi nt)"


def test_the_first_line_of_an_exception_is_without_the_rest() -> None:
    assert first_line(ValueError("\n one\ntwo")) == "one"


def test_the_first_line_of_an_exception_without_text_is_its_type() -> None:
    assert first_line(ValueError()) == "ValueError"


def test_the_first_line_of_an_exception_is_not_long() -> None:
    assert len(first_line(ValueError("x" * 10_000))) == 300


def test_a_command_that_returns_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(lambda: print("result")) == 0
    assert capsys.readouterr() == ("result\n", "")


def test_a_user_error_is_one_line_on_stderr_and_exit_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending(raising(UserError("a\nb", "is absent"))) == 1
    assert capsys.readouterr() == ("", "error: a b: is absent\n")


def test_arguments_that_cannot_be_are_one_line_on_stderr_and_exit_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending(raising(UsageError("--a b", "is none", "possible: c"))) == 2
    assert capsys.readouterr() == ("", "error: --a b: is none (possible: c)\n")


def test_an_oserror_is_one_line_with_its_file_and_exit_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending(raising(OSError(28, "No space left on device", "/full"))) == 1
    assert capsys.readouterr() == ("", "error: /full: No space left on device\n")


def test_an_oserror_without_file_is_one_line_and_exit_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending(raising(OSError("out of luck"))) == 1
    assert capsys.readouterr() == ("", "error: system: out of luck\n")


def test_ctrl_c_is_one_line_and_exit_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_a_mistake_of_the_program_itself_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(raising(ZeroDivisionError()))


def test_argparse_keeps_its_own_exit_status() -> None:
    assert ending(raising(SystemExit(2))) == 2
