"""What the command line is made of: a parser whose mistakes are one line, and the kinds of values it takes."""

import argparse
import functools
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from bench.commands.output import emit
from bench.config import Budget
from bench.errors import BadInput

MOST_SAMPLES = 1024  # in one picture


class Parser(argparse.ArgumentParser):
    """argparse, but mistakes are one line, all of them at once: what, and where to look."""

    def __init__(self, problems: list[str] | None = None, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)  # --fres must not start over
        self.problems: list[str] = [] if problems is None else problems  # one list for a command and its parts
        self.set_defaults(parser=self)  # the command's own, whose help is the one to see

    def add_subparsers(self, **options: Any) -> Any:  # type: ignore[override]
        parts = functools.partial(Parser, self.problems)
        return super().add_subparsers(**options, parser_class=parts)  # type: ignore[call-overload]

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        try:
            return super()._get_values(action, arg_strings)
        except argparse.ArgumentError as error:
            if action.option_strings:  # of a mistaken command nothing more can be said
                self.problems.append(str(error))
                return None
            raise

    def parse_args(self, *arguments: Any) -> argparse.Namespace:  # type: ignore[override]
        known, unknown = self.parse_known_args(*arguments)
        command = known.parser
        del known.parser
        if unknown:
            self.problems.append(f"unrecognized arguments: {' '.join(unknown)}")
        if self.problems:
            command.error("; ".join(self.problems))
        return known

    def print_help(self, file: Any = None) -> None:
        emit(self.format_help(), end="")

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def positive_int(text: str) -> int:
    if not re.fullmatch(r"\d+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive whole number")
    return int(text)


def positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return value


def duration(text: str) -> float:
    """`90s`, `9m` or `1.5h` to seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"'{text}' is not a time: give a number and its unit, such as 90s, 9m or 1.5h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def finite_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is not a finite number")
    return value


def sample_count(text: str) -> int:
    if (count := positive_int(text)) > MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"{count} are too many for one picture: at most {MOST_SAMPLES}")
    return count


def png(text: str) -> Path:
    if Path(text).suffix != ".png":
        raise argparse.ArgumentTypeError(f"'{text}' is not a .png")
    return Path(text)


def new_png(text: str) -> Path:
    """A picture that is written after much work, so its folder must be there before."""
    if not png(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' lies in no folder that is there: make it first")
    return Path(text)


def budgets(text: str) -> tuple[Budget, ...]:
    """`images=32000,seconds=200` to budgets, of which the first is the main one."""
    try:
        found = [Budget.read(part) for part in filter(None, map(str.strip, text.split(",")))]
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not found or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"'{text}' names no budget, or one twice: write images=32000,seconds=200")
    return tuple(found)


def shard(text: str) -> tuple[int, int]:
    """`2/4` to (2, 4): the second of four shares."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"'{text}' is no share: write 2/4 for the second of four")
    return int(found[1]), int(found[2])


def memory_size(text: str) -> int:
    """`24GiB` or `16GB` to bytes."""
    units = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MG]i?B)", text)
    if not match or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive amount of memory like 24GiB or 16GB")
    return round(float(match[1]) * units[match[2]])


def rate(text: str) -> float | str:
    """A rate in GFLOP/s to FLOP/s, or `measured`."""
    return text if text == "measured" else 1e9 * positive_float(text)


def floats(text: str) -> list[float]:
    return [positive_float(part) for part in names(text)]


def names(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def integers(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers like 0,1,2")
    return list(dict.fromkeys(int(part) for part in text.split(",")))


def check_data(source: str) -> None:
    """Refuse a data path that cannot be a Cartoon Set before anything heavy is imported."""
    from bench.data.files import members

    if source != "avataaars":
        next(members(Path(source)), None)
