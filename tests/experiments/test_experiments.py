"""Experiments as data: what a file declares is run, resumed, shared out and answered."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest

from bench.config import Budget, run_name
from bench.environment import instruction_set, training_code
from bench.errors import BadInput, NoRoom
from bench.experiments.experiment import Arm, Cell, Experiment, find, names
from bench.experiments.matrix import Matrix, check, one_after_another, run_matrix
from bench.record import Images
from bench.storage import durable
from bench.storage.folder import ResultsFolder
from bench.storage.records import read_records
from tests.invoking import ROOT, bench

LAPTOP = ROOT / "results" / "laptop"
TWO_ARMS = """
question = "Does a second head help?"
claim = "two heads are better"
preset = "smoke"
seeds = [0, 1]
reference = "one"

[sizes]
image_size = 16
scale = 0.03125
images = 74
epochs = 1
samples = 4
curve_samples = 4
judge_steps = 3
sampling_steps = 2

[arms.one]
contestant = "tests.plug_in:build"

[arms.two]
contestant = "tests.plug_in:build"
training = { beta_end = 0.02 }
expected = "better"
"""


@pytest.fixture
def declared(tmp_path):
    """A file that can be changed."""

    def write(text=TWO_ARMS, *changes):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def request_in(tmp_path):
    """What `bench run --experiment` asks."""
    from bench.commands.asked import run_request
    from bench.commands.cli import parser

    def ask(*more):
        arguments = [
            "run",
            "--experiment=x",
            "--device=cpu",
            "--mixed-precision=no",
            "--processes=1",
            f"--out={tmp_path / 'out'}",
            *more,
        ]
        return run_request(parser().parse_args(arguments))

    return ask


@pytest.mark.parametrize("name", names())
def test_every_experiment_that_comes_with_the_suite_can_begin(name, request_in, monkeypatch):
    """Each arm's contestant is built at the size of its runs, and its recipe exists."""
    experiment = find(name)
    check(Matrix(experiment, request_in()))
    assert experiment.claim
    assert len(experiment.seeds) >= 6
    assert experiment.together or any(arm.expected for arm in experiment.arms.values())
    for arm in experiment.arms.values():
        differ = [arm.contestant_name, arm.recipe_name] != [
            experiment.arms[experiment.reference].contestant_name,
            experiment.arms[experiment.reference].recipe_name,
        ]
        assert differ == (arm is not experiment.arms[experiment.reference])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('question = "', 'quesion = "', "has an unknown field quesion"),
        ("seeds = [0, 1]", "seeds = []", "seeds = [] (List should have at least 1 item"),
        ("seeds = [0, 1]", "seeds = [0, -1]", "seeds.1 = -1 (should be greater than or equal to 0)"),
        ('reference = "one"', 'reference = "won"', "unknown arm of experiment 'mine' 'won': try two, one"),
        ("judge_steps = 3", "jugde_steps = 3", "unknown size 'jugde_steps': try judge_steps"),
        ("epochs = 1", 'budgets = ["epochs=1"]', "'epochs=1' is no budget"),
        ("beta_end = 0.02", "beta_end = 0.035", None),
        ('training = { beta_end = 0.02 }\n', "", "two arms have the same contestant and recipe"),
        ('"better"', '"alike"', "expects an arm to be alike: give it a margin"),
        ('preset = "smoke"', 'preset = "smok"', "unknown preset 'smok': try smoke"),
        ("[arms.one]", '[arms.one]\nexpected = "worse"', "'one' is held against nothing: leave out expected"),
        ("samples = 4", "samples = 4.5", "samples = 4.5 (should be a valid integer"),
        ("epochs = 1", 'budgets = ["images=-5"]', "'images=-5' is no budget"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "names a seed twice"),
        ('question = "', 'name = "x"\nquestion = "', "unknown field name: its file's name is its name"),
        (":build", ":" + "b" * 200, "changes too much for the name of a file"),
        ("[arms.two]", "[arms.two]\nsizes = { samples = 5 }", "arms differ in samples: give all the same"),
        ("[sizes]", "[sizes", "is no TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_line(declared, old, new, words):
    path = declared(TWO_ARMS, (old, new))
    if words is None:
        assert find(str(path)).name == "mine"
        return
    with pytest.raises(BadInput) as refused:
        find(str(path))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("beta_end = 0.02", "beta_ent = 0.02"), "'beta_ent': try beta_end"),
        (("expected", 'architecture = { heads = 2 }\nexpected'), "not of the form package.module:function"),
        (("beta_end = 0.02", "sampling_steps = 5"), "unknown field of recipe .*'sampling_steps'"),
        (("beta_end = 0.02", '"beta_end.x" = 5'), "'beta_end' has no fields of its own"),
        (('reference = "one"', 'reference = "one"\nmeasures = ["exact_accuracy_of_eyez"]'), "of_eyez': try"),
        (('reference = "one"', 'reference = "one"\nmeasures = ["paired_color"]'), "'paired_color': try paired_colour"),
    ],
)  # fmt: skip
def test_what_no_run_could_begin_with_is_refused_before_any(declared, request_in, change, words):
    with pytest.raises(BadInput, match=words):
        check(Matrix(find(str(declared(TWO_ARMS, change))), request_in()))


def test_a_missing_file_and_an_unknown_name_are_one_line(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        find(str(tmp_path / "none.toml"))
    with pytest.raises(BadInput, match="unknown experiment 'haeds': try heads"):
        find("haeds")


def test_an_option_that_the_file_decides_is_refused(declared):
    done = bench("run", "--experiment", declared(), "--preset=laptop", "--images=50")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: beside --experiment leave out --preset, --images\n"
    done = bench("run", "--shard=1/2")
    assert done.stderr == "bench: --shard is for an experiment: name one by --experiment\n"
    assert "is no share" in bench("run", "--experiment=heads", "--shard=3/2").stderr


@pytest.mark.parametrize("shares", [1, 2, 4, 5, 6, 7, 24, 30])
def test_shares_are_all_runs_each_once_and_keep_seeds_whole(request_in, shares):
    matrix = Matrix(find("heads"), request_in())
    parts = [matrix.missing((number, shares)) for number in range(1, shares + 1)]
    assert [cell for part in parts for cell in part] == matrix.experiment.cells
    if shares <= 6:
        assert all(len(part) % 4 == 0 and len({cell.seed for cell in part}) == len(part) // 4 for part in parts)


def test_what_is_asked_for_a_cell_is_what_the_file_says(declared, request_in):
    matrix = Matrix(find(str(declared())), request_in())
    asked = matrix.request_of(Cell("two", 1))
    assert (asked.contestants, asked.recipe, asked.seeds) == (["tests.plug_in:build"], "matched+beta_end=0.02", [1])
    assert (asked.sizes.image_size, asked.sizes.samples, asked.sizes.batch_size) == (16, 4, 16)
    heads = Matrix(find("heads"), request_in()).request_of(Cell("1 head", 0))
    assert heads.contestants == ["scratch+heads=1"]
    assert heads.sizes.learning_rate == 0.003  # the rate that was found for what it is a variant of
    assert heads.sizes.budgets == (Budget("images", 24_000),)


THREE_ARMS = TWO_ARMS.replace("seeds = [0, 1]", "seeds = [0]").replace(
    "[arms.two]", '[arms.diverges]\ncontestant = "tests.plug_in:build_broken"\n\n[arms.two]'
)


def run(path, out, cache, *more):
    """Answer an experiment in this process."""
    where = ("--out", out, "--cache", cache, "--device=cpu", "--mixed-precision=no")
    return bench("run", "--experiment", path, *where, *more)


def arms_of(out):
    return {arm["name"]: arm for arm in json.loads(ResultsFolder(out).experiment.read_text())["arms"]}


@pytest.fixture(scope="module")
def answered(tmp_path_factory, cache):
    """An experiment of three arms: its file, its results, and what was said of the first run and of the others."""
    folder = tmp_path_factory.mktemp("answered")
    path, out = folder / "mine.toml", folder / "out"
    path.write_text(THREE_ARMS)
    first = run(path, out, cache, "--shard=1/3")
    state = {name: (arm["done"], arm["missing"]) for name, arm in arms_of(out).items()}
    return path, out, first, state, run(path, out, cache)


@pytest.mark.slow
def test_one_file_is_an_experiment_whose_runs_are_done_in_shares(answered):
    _, out, first, state, rest = answered
    assert first.returncode == 0, first.stderr
    assert "mine: run 1 of 1: one, seed 0" in first.stderr
    assert state == {"one": ([0], []), "diverges": ([], [0]), "two": ([], [0])}
    assert "mine: run 2 of 2: two, seed 0" in rest.stderr  # what was done is not done again
    assert "Verdict: **undecided**" in rest.stdout  # with one seed nothing is tested
    assert {name: arm["done"] for name, arm in arms_of(out).items()} == {"one": [0], "diverges": [], "two": [0]}
    recipes = ("matched", "matched+beta_end=0.02")
    names_of_done = {run_name("tests.plug_in:build", recipe, 0) for recipe in recipes}
    assert names_of_done < {path.stem for path in ResultsFolder(out).record_files()}
    assert (out / "images" / "experiment.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_cell_that_fails_is_seen_and_the_others_go_on(answered):
    *_, rest = answered
    assert rest.returncode == 1
    assert "**diverges, seed 0 failed:**" in rest.stdout
    assert "| two | " in rest.stdout
    assert "diverges, seed 0 is not done" in rest.stderr


@pytest.mark.slow
def test_the_records_of_the_same_runs_are_taken_from_another_folder(answered, request_in):
    path, out, *_ = answered
    matrix = Matrix(find(str(path)), request_in())
    asked = []
    assert run_matrix(
        matrix,
        reused=out,
        engine=partial(one_after_another, runner=lambda request: asked.append(request.contestants) or []),
    )
    assert asked == [["tests.plug_in:build_broken"]]
    for taken in read_records(matrix.request.out):
        (same,) = (record for record in read_records(out) if record.run == taken.run)
        assert taken.measurements == same.measurements
        assert taken.images == Images(samples=same.images.samples)
        assert (matrix.request.out / taken.images.samples).read_bytes() == (out / same.images.samples).read_bytes()


def test_begun_anew_records_are_kept_aside_and_a_stop_goes_on_where_it_was(request_in):
    """With --fresh everything is missing once; without it, a second command does the rest."""
    matrix = Matrix(
        Experiment(name="x", question="", claim="", seeds=[0, 1], reference="a", arms={
            "a": Arm(), "b": Arm(contestant="diffusers-32")}), request_in("--fresh"),
    )  # fmt: skip
    folder = ResultsFolder(matrix.request.out)
    names = {f"{name}-matched-seed{seed}" for name in ("scratch", "diffusers-32") for seed in (0, 1)}
    ours = [record for record in read_records(LAPTOP) if record.run.name in names]
    for record in ours:
        durable.write_text(folder.record(record.run.name), record.to_json())
    done = []

    def stop_after_one(request):
        if done:
            raise KeyboardInterrupt
        done.append(request.seeds)
        return []

    with pytest.raises(KeyboardInterrupt):
        run_matrix(matrix, engine=partial(one_after_another, runner=stop_after_one))
    assert not folder.record_files()
    assert len(list(folder.replaced.glob("*.json"))) == 4
    assert not list(folder.run_folders())
    record = ours[0]
    path = folder.record(record.run.name)
    for _ in range(2):  # what was kept aside is not written over
        durable.write_text(path, record.to_json())
        matrix.begun_anew((1, 1))
    assert len(list(folder.replaced.glob(f"{path.stem}.*.json"))) == 3


def test_a_record_without_a_distance_that_is_asked_for_is_refused(request_in):
    matrix = Matrix(
        Experiment(name="x", question="", claim="", seeds=[0], reference="a", arms={"a": Arm()}), request_in()
    )
    (record,) = (r for r in read_records(LAPTOP) if r.run.name == "scratch-matched-seed0")
    ours = record.environment.model_copy(update={"training_code": training_code("scratch")})
    durable.write_text(
        ResultsFolder(matrix.request.out).record(record.run.name),
        record.model_copy(update={"environment": ours}).to_json(),
    )
    assert matrix.missing() == []
    asked = Matrix(matrix.experiment, replace(matrix.request, extractors=["tests.plug_in:MEAN_COLOUR"]))
    with pytest.raises(BadInput, match="no distance by .* or --fresh"):
        asked.missing()


@pytest.mark.slow
def test_records_of_another_configuration_are_refused(answered, cache, tmp_path):
    _, out, *_ = answered
    path = tmp_path / "mine.toml"
    path.write_text(THREE_ARMS.replace("judge_steps = 3", "judge_steps = 4"))
    before = {file: file.read_bytes() for file in out.glob("*.md")}
    changed = run(path, out, cache)
    assert (changed.returncode, changed.stdout) == (2, "")
    assert "is of another configuration (sizes.judge_steps: 3 -> 4): use another --out, or --fresh" in changed.stderr
    assert before == {file: file.read_bytes() for file in out.glob("*.md")}


def test_a_cell_that_cannot_begin_is_seen_and_the_others_go_on(declared, request_in, tmp_path):
    asked = []

    def refuse(request):
        asked.append(request.recipe)
        raise NoRoom("two needs 9 GiB of memory")

    matrix = Matrix(find(str(declared())), request_in())
    assert len(run_matrix(matrix, engine=partial(one_after_another, runner=refuse))) == len(asked) == 4
    page = ResultsFolder(matrix.request.out).answer.read_text()
    assert page.count("seed 1 failed:** two needs 9 GiB of memory") == 2


def test_the_list_says_how_far_each_is(declared):
    done = bench("experiments")
    assert done.returncode == 0
    assert re.search(r"heads: \d+ of 24 runs.*\n  Do more attention heads", done.stdout)
    timed = bench("experiments", declared(), "--hours", "--json")
    (mine,) = json.loads(timed.stdout)["experiments"]
    assert (mine["runs"], mine["done"], mine["verdict"]) == (4, 0, None)
    assert 0 < mine["hours"] < 1


def test_what_nobody_has_run_is_told_with_its_command_and_its_hours(tmp_path, declared):
    """As a page of its own, and in the overview of a folder of results."""
    claims = tmp_path / "results" / "claims"
    assert bench("experiments", declared(), "--hours", "--out", claims).returncode == 0
    page = ResultsFolder(claims / "mine").answer.read_text()
    assert "two heads are better. Verdict: **not run yet**" in page
    told = rf"\*\*Missing:\*\* 4 runs, about 0\.0 h by a few timed steps \({re.escape(str(instruction_set('cpu')))}\)"
    assert re.search(rf"{told}: `python -m bench run --experiment mine\.toml`", page)
    assert bench("experiments", declared(), "--out", claims).returncode == 0
    assert re.search(told, ResultsFolder(claims / "mine").answer.read_text())  # what was estimated is kept
    assert bench("overview", tmp_path / "results").returncode == 0
    overview = (tmp_path / "results" / "README.md").read_text()
    assert "## claims: what experiments say" in overview
    assert "| [two heads are better](claims/mine/experiment.md) | **not run yet** | – | 0 | 1 |" in overview
    assert "- mine: 4 runs, about" in overview
    ResultsFolder(claims / "mine").experiment.write_text("{}")
    damaged = bench("overview", tmp_path / "results")
    assert damaged.returncode == 2  # there is nothing else to show
