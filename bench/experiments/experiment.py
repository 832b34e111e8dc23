"""An experiment as a TOML file declares it: the question, what is claimed, and the runs that decide."""

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bench.config import (
    ONE_RATE,
    PRESETS,
    Budget,
    Count,
    Number,
    RunConfig,
    Sizes,
    differences,
    found_rate,
    recipe_for,
    run_name,
)
from bench.errors import BadInput, known
from bench.storage.records import what_is_wrong
from bench.variants import split_name, variant_name

FILES = Path(__file__).parent
LONGEST_NAME = 200  # bytes of a run's: with what is put around it, a file system takes 255
SCORED_ALIKE = ("image_size", "images", "samples", "judge_steps")  # or arms cannot be compared in pairs
SIZES = tuple(field.name for field in fields(Sizes))


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Arm(Part):
    """One side of the comparison: a contestant and how it is trained, and what is claimed of it."""

    contestant: str = "scratch"
    recipe: str = "matched"
    architecture: dict[str, Any] = {}  # changes of the contestant, if it is by hand
    training: dict[str, Any] = {}  # changes of the recipe
    sizes: dict[str, Any] = {}  # in place of the experiment's
    expected: Literal["better", "worse", "alike"] | None = None  # than the reference, by the first measure
    parts: list[str] = []  # that it adds to the reference, if every combination of parts is an arm

    @property
    def contestant_name(self) -> str:
        return variant_name(self.contestant, self.architecture)

    @property
    def recipe_name(self) -> str:
        return variant_name(self.recipe, self.training)


class Experiment(Part):
    """What is asked, what the answer is measured by, and every run that it takes."""

    name: str = ""
    question: str
    claim: str  # in one sentence: what `expected` of the arms says in words
    source: str = ""  # who says so
    preset: str = "laptop"
    sizes: dict[str, Any] = {}  # in place of the preset's
    seeds: Annotated[list[Count], Field(min_length=1)]
    measures: Annotated[list[str], Field(min_length=1)] = ["paired_colour"]  # keys; the first one decides
    margin: Number | None = None  # of the first measure: a smaller difference counts as none
    reference: str  # the arm that the others are held against
    together: Literal["better", "worse"] | None = (
        None  # what all parts do at once, than the sum of what each does alone
    )
    arms: dict[str, Arm]

    def sizes_of(self, arm: Arm) -> Sizes:
        """The preset's sizes with the experiment's and the arm's own; BadInput for one that there is not.

        The learning rate is the one that was found for what the arm is a variant of.
        """
        given = self.sizes | arm.sizes
        for name in given:
            known(name, SIZES, "size")
        if "budgets" in given:
            given = given | {"budgets": tuple(Budget.read(str(text)) for text in given["budgets"])}
        elif "epochs" in given:  # which say the same in another way
            given = given | {"budgets": ()}
        preset = PRESETS[known(self.preset, tuple(PRESETS), "preset")]
        try:
            sizes = TypeAdapter(Sizes).validate_python(asdict(preset) | given)
        except ValidationError as error:
            raise BadInput(f"experiment '{self.name}' has {what_is_wrong(error)} of its sizes: mend it") from error
        sized = {"learning_rate", "scale", "image_size", "batch_size"} & given.keys()
        if sized or split_name(arm.recipe)[0] in ONE_RATE:
            return sizes
        return replace(sizes, learning_rate=found_rate(self.preset, arm.contestant) or sizes.learning_rate)

    @property
    def parts(self) -> list[str]:
        """What the arms are made of, if they are all the combinations of some parts, in the order of the file."""
        return list(dict.fromkeys(part for arm in self.arms.values() for part in arm.parts))

    @property
    def given(self) -> str:
        """How it is named on the command line."""
        return self.name if self.name in names() else f"{self.name}.toml"

    @property
    def cells(self) -> list["Cell"]:
        """Every run, the first seed of all arms first: what is there early can be compared."""
        return [Cell(arm, seed) for seed in self.seeds for arm in self.arms]

    def run_name(self, cell: "Cell") -> str:
        arm = self.arms[cell.arm]
        return run_name(arm.contestant_name, arm.recipe_name, cell.seed)

    def is_of(self, arm: Arm, run: RunConfig) -> bool:
        """Whether a run has the name of an arm's."""
        return (run.contestant, run.recipe.name) == (arm.contestant_name, arm.recipe_name)

    def unlike(self, arm: Arm, run: RunConfig) -> list[str]:
        """In what a run with the name of an arm's is another one than the file asks for."""
        sizes = self.sizes_of(arm)
        recipe = sizes.applied_to(recipe_for(arm.recipe_name, run.contestant))
        return differences(run.as_dict(), replace(run, sizes=sizes, recipe=recipe, preset=self.preset).as_dict())


@dataclass(frozen=True)
class Cell:
    """One run of an experiment."""

    arm: str
    seed: int


def names() -> list[str]:
    """The experiments that come with the suite."""
    return sorted(path.stem for path in FILES.glob("*.toml"))


def file_of(text: str) -> Path:
    """The file of a name, or the file itself; BadInput for an unknown name."""
    return Path(text) if text.endswith(".toml") else FILES / f"{known(text, names(), 'experiment')}.toml"


def find(text: str) -> Experiment:
    """The experiment of that name, or in that file; BadInput where there is none, or with what is wrong in it."""
    path = file_of(text)
    try:
        told = tomllib.loads(path.read_text())
        if "name" in told:
            raise BadInput(f"experiment '{path.name}' has an unknown field name: its file's name is its name")
        experiment = Experiment(name=path.stem, **told)
    except OSError as error:
        raise BadInput(f"experiment '{path.name}' cannot be read ({error.strerror}): name another file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"experiment '{path.name}' is no TOML ({error}): mend it") from error
    except ValidationError as error:
        raise BadInput(f"experiment '{path.name}' has {what_is_wrong(error)}: mend it") from error
    check(experiment)
    return experiment


def check(experiment: Experiment) -> None:
    """BadInput for arms that cannot be told apart, or a reference that there is not."""
    known(experiment.reference, list(experiment.arms), f"arm of experiment '{experiment.name}'")
    runs = [experiment.run_name(Cell(arm, 0)) for arm in experiment.arms]
    if too_long := [arm for arm, name in zip(experiment.arms, runs, strict=True) if len(name.encode()) > LONGEST_NAME]:
        told = f"experiment '{experiment.name}': arm '{too_long[0]}'"
        raise BadInput(f"{told} changes too much for the name of a file: change less")
    if len({*experiment.seeds}) < len(experiment.seeds):
        raise BadInput(f"experiment '{experiment.name}' names a seed twice: name it once")
    if len({*runs}) < len(runs):
        raise BadInput(f"experiment '{experiment.name}': two arms have the same contestant and recipe: change one")
    if experiment.arms[experiment.reference].expected:
        told = f"experiment '{experiment.name}': its reference '{experiment.reference}' is held against nothing"
        raise BadInput(f"{told}: leave out expected")
    if experiment.margin is None and any(arm.expected == "alike" for arm in experiment.arms.values()):
        raise BadInput(f"experiment '{experiment.name}' expects an arm to be alike: give it a margin")
    check_parts(experiment)
    sizes = [experiment.sizes_of(arm) for arm in experiment.arms.values()]
    if differ := [name for name in SCORED_ALIKE if len({getattr(each, name) for each in sizes}) > 1]:
        raise BadInput(f"experiment '{experiment.name}': arms differ in {', '.join(differ)}: give all the same")


def check_parts(experiment: Experiment) -> None:
    """BadInput unless every combination of parts is one arm, and the reference is the one without any."""
    parts, made = experiment.parts, [frozenset(arm.parts) for arm in experiment.arms.values()]
    if experiment.together and len(parts) < 2:
        raise BadInput(f"experiment '{experiment.name}' expects something of parts together: name two parts or more")
    whole = len(made) == len(set(made)) == 2 ** len(parts)
    if parts and not (whole and not experiment.arms[experiment.reference].parts):
        told = f"experiment '{experiment.name}' has {len(parts)} parts: make one arm for each of their combinations"
        raise BadInput(f"{told}, 2 to the power of {len(parts)}; the reference is the one without parts")
