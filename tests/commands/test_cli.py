"""The command line as a user meets it: real files, exit statuses and one-line errors, and a few real processes."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from PIL import Image

from bench.storage.folder import ResultsFolder
from tests.invoking import PLUG_IN, ROOT, TINY, WHOLE, bench, command, environment, measured, timeless
from tests.shared import SHARED

NEED_MORE_IMAGES = {
    "… precision", "… recall", "… copies of training images?", "… extrapolated to endless many images",
}  # fmt: skip


NEED_THE_FULL_SAMPLER = {
    "fast sampler − full sampler: accuracy", "… Fréchet distance: by how much the fast sampler's is larger",
    "… do they agree (0.01, 5 %)?",
}  # fmt: skip


@pytest.fixture(params=["finished", pytest.param("all_finished", marks=pytest.mark.slow)])
def each_finished(request):
    """The run of the default contestants and a user's own; CI looks at one of all, too."""
    return request.getfixturevalue(request.param)


def test_json_is_one_document_on_stdout_with_a_column_each(each_finished):
    done = each_finished.done
    not_asked = set() if "--full-samples=2" in each_finished.sizes else NEED_THE_FULL_SAMPLER
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["done"] is True
    assert document["table"]["columns"] == each_finished.contestants
    rows = {row["measure"]: row["values"] for row in document["table"]["rows"]}
    for name in document["table"]["columns"][:-1]:
        empty = {re.sub(r" \(ceiling .*", "", m) for m, values in rows.items() if values[name]["text"] == "–"}
        assert empty <= {"FID (Inception)", "accuracy: hatColor", "… normalised", *NEED_MORE_IMAGES, *not_asked}
    of_one_command = [record for record in document["records"] if record["config"]["seed"] == 0]
    assert len(of_one_command) == len(each_finished.contestants)
    peaks = [record["measurements"]["machine_peak"] for record in of_one_command]
    assert all(peak == peaks[0] for peak in peaks)  # all are held against the same
    assert rows["denoising model"]["tests.plug_in:build"]["text"] == "–"
    assert rows["all parameters, here"]["tests.plug_in:build"]["value"] == 1243


def test_records_tables_and_pictures_are_where_the_design_says(each_finished):
    out = each_finished.out
    record = json.loads((out / "records" / "scratch-matched-seed0.json").read_text())
    assert record["schema_version"] == 2
    assert [row["guidance"] for row in record["measurements"]["guidance"]] == [0, 1, 2, 3, 5, 7, 9]
    assert [point["epoch"] for point in record["measurements"]["curve"]] == [2]  # finished after two
    assert len(record["measurements"]["training"]["validation"][1]["raw"]) == 8
    assert len(record["measurements"]["training"]["seconds_per_epoch"]) == 2
    assert record["measurements"]["cost"]["parameters"]["total"] < 1e6
    assert record["measurements"]["full_cost"]["parameters"]["total"] == 76_470_531
    assert str(out) not in json.dumps(record)
    table = (out / "table.md").read_text()
    assert table.splitlines()[2].startswith("| number of parameters | ")
    pictures = dict(json.loads((out / "records" / "diffusers-32-matched-seed0.json").read_text())["images"])
    epochs, guidance = pictures.pop("epochs"), pictures.pop("guidance")
    of_scratch = {name: paths for name, paths in record["images"].items() if paths}
    few = [*of_scratch.pop("epochs"), *(path for path in of_scratch.values() if isinstance(path, str))]
    assert of_scratch.keys() >= {"samples", "example"}
    assert (len(epochs), list(guidance)) == (2, ["0", "1", "2", "3", "5", "7", "9"])
    assert all(pictures[name] for name in ("samples", "example", "guidance_sweep", "denoising", "noising"))
    for path in [*epochs, *guidance.values(), *filter(None, pictures.values()), *few]:
        with Image.open(out / path) as picture:
            assert picture.width >= 64
    assert f"]({record['images']['example']})" in table
    page = (out / "quality.md").read_text()
    assert "images/curves.png" in page
    assert page.count("| guidance | accuracy |") == len(each_finished.contestants)
    for plot in ("curves", "guidance", "attributes", "memory", "timesteps"):
        assert f"](images/{plot}.png)" in page
        assert "<text" in (out / "images" / f"{plot}.svg").read_text()


def test_the_table_is_drawn_again_from_records_alone(each_finished, tmp_path):
    out = each_finished.out
    (tmp_path / "records").symlink_to(out / "records")
    document = json.loads(bench("table", tmp_path, "--format", "json").stdout)
    assert document["columns"] == each_finished.contestants
    rows = list(csv.reader(io.StringIO(bench("table", tmp_path, "--format", "csv").stdout)))
    assert rows[0][0] == "measure"
    assert len(rows) == 1 + len(document["rows"])
    assert "number of attention heads" in bench("table", tmp_path).stdout
    assert bench("table", tmp_path, "--format", "md").stdout.startswith("|  | scratch | diffusers-32 |")


def test_a_rerun_skips_what_is_finished_and_touches_nothing(finished, cache, tmp_path):
    out = shutil.copytree(finished.out, tmp_path / "out")
    before = {path: path.read_bytes() for path in out.glob("records/*")}
    note = ResultsFolder(out).run("scratch-matched-seed0").config
    note.write_text(json.dumps(json.loads(note.read_text()) | {"code": "other"}))
    again = bench("run", *SHARED, "--contestants", "scratch,diffusers-32", "--out", out, "--cache", cache)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished already") == 2
    assert again.stderr.count("code that has changed since: its numbers are OLD, `--contestants scratch --fresh`") == 1
    assert json.loads(note.read_text())["code"] == "other"  # so that it is said the next time, too
    assert {path: path.read_bytes() for path in out.glob("records/*")} == before


def test_fault_08_a_changed_configuration_is_refused_field_by_field(finished, cache, tmp_path):
    out = shutil.copytree(finished.out, tmp_path / "out")
    before = (out / "table.md").read_text()
    refused = bench(
        "run", *SHARED, "--learning-rate", "0.5", "--contestants", "scratch", "--out", out, "--cache", cache
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "sizes.learning_rate: 0.002 -> 0.5" in refused.stderr
    assert "--fresh" in refused.stderr
    assert (out / "table.md").read_text() == before


def test_samples_are_drawn_from_a_run_by_name(finished, tmp_path):
    out = finished.out
    picture = tmp_path / "curly.png"
    done = bench(
        "sample", "--run", out, "--contestant", "scratch", "--attributes", "top=curly,skinColor=pale",
        "--guidance", 2, "--count", 3, "--out", picture,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as image:
        assert image.size == (3 * 64, 64)
    unknown = bench("sample", "--run", out, "--contestant", "scratch", "--attributes", "tops=curly", "--out", picture)
    assert (unknown.returncode, unknown.stderr) == (2, "bench: unknown attribute 'tops': try top\n")
    unknown = bench("sample", "--run", out, "--contestant", "scratch", "--attributes", "top=Curly", "--out", picture)
    assert (unknown.returncode, unknown.stderr) == (2, "bench: unknown variant of top 'Curly': try curly\n")


def test_anatomy_prints_the_published_figures():
    document = json.loads(bench("anatomy", "--contestants", "scratch,diffusers-32", "--json").stdout)
    assert [row["name"] for row in document["contestants"]] == ["scratch", "diffusers-32"]
    assert document["contestants"][1]["parameters"]["total"] == 188_511_363
    assert round(document["contestants"][1]["memory_mib"]["adam"], 2) == 1438.23
    assert document["batch_size"] == 128


BAD = {
    "contestant": (["run", "--contestants", "scrach"], "unknown contestant 'scrach': try scratch"),
    "preset": (["run", "--preset", "latop"], "unknown preset 'latop': try laptop"),
    "recipe": (["run", "--recipe", "sauce"], "unknown recipe 'sauce': try source"),
    "memory": (["anatomy", "--memory", "24"], "'24' is not a positive amount of memory like 24GiB or 16GB"),
    "peak": (["anatomy", "--peak", "fast"], "'fast' is not a positive number"),
    "plot": (["anatomy", "--plot", "nowhere/memory.png"], "lies in no folder that is there"),
    "picture": (["anatomy", "--plot", "memory.jpg"], "is not a .png"),
    "anatomy of": (["anatomy", "--contestants", "scrach"], "unknown contestant 'scrach': try scratch"),
    "no model": (["anatomy", "--contestants", "tests.plug_in:build_nothing"], "must build a torch.nn.Module"),
    "scale of anatomy": (["anatomy", "--scale", "0.3", "--contestants", "scratch"], "leaves no whole number"),
    "image size": (["anatomy", "--image-size", "60", "--contestants", "scratch"], "not a multiple of 8"),
    "rounds": (["overhead", "--rounds", "3"], "at least 7"),
    "rounds of the bridge": (["bridge", "--rounds", "3"], "at least 7"),
    "plot of the bridge": (["bridge", "--plot", "nowhere/bridge.png"], "lies in no folder that is there"),
    "changes of the bridge": (["bridge", "--changes", "tau,head"], "unknown change 'head'"),
    "a plot of no changes": (["bridge", "--changes", "none", "--plot", "b.png"], "--plot draws changes"),
    "others": (["bridge", "--others", "scratch+heads+tau"], "in one order: scratch+tau+heads"),
    "contestants": (["overhead", "--contestant", "scratch,diffusers-8"], "--contestant takes one name"),
    "option": (["run", "--nonsense", "1"], "unrecognized arguments: --nonsense 1 (see `bench run --help`)"),
    "abbreviation": (["run", "--fres"], "unrecognized arguments: --fres"),
    "images": (["run", "--images", "5"], "--images 5 is too few"),
    "samples": (["run", "--samples", "1"], "at least 2"),
    "batch": (["run", "--images", "20", "--batch-size", "64"], "13 training images do not fill a batch of 64"),
    "number": (["run", "--epochs", "0"], "'0' is not a positive whole number"),
    "float": (["run", "--scale", "nan"], "'nan' is not a positive number"),
    "seeds": (["run", "--seeds", "a"], "'a' is not a list of whole numbers"),
    "data": (["run", "--data", "/no/such"], "data '/no/such' does not exist: name a Cartoon Set folder"),
    "size": (["run", "--image-size", "30"], "image size 30 is not a multiple of 8"),
    "scale": (["run", "--scale", "0.3"], "scale 0.3 leaves no whole number of channel groups"),
    "too large": (
        ["run", "--scale", "16", "--images", "40", "--contestants", "scratch"],
        "GiB are free: lower --batch-size or --scale",
    ),
    "out": (["run", "--out", "/proc/nothing"], "'/proc/nothing' cannot be written"),
    "inception": (["run", "--inception-weights", "/no/such.pth"], "is no file"),
    "plug-in": (["run", "--recipe", "source", "--contestants", "tests.plug_in:build"], "--recipe matched"),
    "records": (["table", "/no/such"], "'/no/such' holds no records"),
    "report": (["report", "/no/such"], "'/no/such' holds no records, for there is no such folder"),
    "extractor": (["run", "--extractors", "tests.plug_in:NOTHING"], "has no attribute 'NOTHING'"),
    "judges": (["judges", "--preset", "latop"], "unknown preset 'latop': try laptop"),
    "command": (["fly"], "invalid choice: 'fly'"),
    "verify": (["data", "verify", "/no/such"], "does not exist"),
    "no run": (["sample", "--run", "/no", "--contestant", "scratch", "--out", "x.png"], "holds no weights"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_usage_exits_2_with_one_line(kind, tmp_path):
    arguments, message = BAD[kind]
    if arguments[0] == "run":
        arguments = [*arguments, "--cache", str(tmp_path / "cache")]
        if "--out" not in arguments:
            arguments += ["--out", str(tmp_path / "out")]
    done = bench(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["table {}", "table {} --format json", "sample --run {} --list"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_reading_the_rest_is_one_line(unbuffered, words):
    """As in `bench table … | head`, whether Python notices it at once or when all is written."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(*words.format("results/laptop").split()),
        stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment(PYTHONUNBUFFERED=unbuffered),
    )  # fmt: skip
    os.close(writer)
    line = "the result cannot be printed, standard output is read by nobody any more; files that were written are whole"
    assert (done.returncode, done.stderr) == (1, f"bench: {line}\n")


def test_fault_27_a_failed_contestant_keeps_its_row_and_the_others_go_on(tmp_path, cache):
    names = "tests.plug_in:build_broken,tests.plug_in:build"
    done = bench("run", *TINY, "--contestants", names, "--out", tmp_path, "--cache", cache)
    assert done.returncode == 1
    table = (tmp_path / "table.md").read_text()
    assert "failed: diverged at step 1" in table
    assert json.loads((tmp_path / "records" / "tests.plug_in.build-matched-seed0.json").read_text())["status"] == "done"


@pytest.mark.slow
def test_fault_04_killed_between_two_contestants_the_first_is_untouched(tmp_path):
    """The first has its record when the second dies; both are whole after the same command."""
    names = "tests.plug_in:build,tests.plug_in:build_slow"
    arguments = ["run", *TINY, "--contestants", names, "--out", tmp_path, "--cache", tmp_path / "cache"]
    arguments += ["--mixed-precision=no"]
    run = subprocess.Popen(
        command(*arguments),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env=environment(SLOW_SECONDS="0.2"),
    )  # fmt: skip
    deadline = time.time() + 300
    while not (tmp_path / ".work" / "tests.plug_in.build_slow-matched-seed0" / "job.json").exists():
        assert time.time() < deadline
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(30)
    first = tmp_path / "records" / f"{PLUG_IN}.json"
    before = first.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    done = bench(*arguments)
    assert done.returncode == 0, done.stderr
    assert first.read_bytes() == before
    assert f"{PLUG_IN}: finished already" in done.stderr
    assert len(list(first.parent.iterdir())) == 2


def test_fault_07_a_run_without_a_seed_has_one_that_is_stored(finished):
    out = finished.out  # no --seeds was given
    begun = json.loads((out / ".work" / "scratch-matched-seed0" / "config.json").read_text())
    assert (
        begun["seed"] == json.loads((out / "records" / "scratch-matched-seed0.json").read_text())["config"]["seed"] == 0
    )


def test_fault_25_all_that_is_wrong_is_said_at_once_before_data_are_loaded(tmp_path):
    options = ["--image-size=30", "--samples=1", "--batch-size=9", "--processes=2", "--mixed-precision=fp16"]
    many = bench("run", *options, "--device=cpu", "--scale=0.3", "--images=5", "--out", tmp_path, "--cache", tmp_path)
    assert (many.returncode, many.stdout) == (2, "")
    assert many.stderr.count("\n") == 1
    for part in (
        "--samples 1",
        "--images 5",
        "no multiple of 2 processes",
        "fp16 needs a GPU",
        "scratch",
        "diffusers-32",
    ):
        assert part in many.stderr
    assert list(tmp_path.glob("avatars-*")) == []
    typed = bench("run", "--epochs=-3", "--nonsense=1", "--seeds=a", "--device=tpu")
    assert typed.returncode == 2
    assert typed.stderr.count("\n") == 1
    for part in ("--epochs: '-3'", "--seeds: 'a'", "--device: invalid", "unrecognized arguments: --nonsense=1"):
        assert part in typed.stderr


@pytest.mark.parametrize("content", [b"", b"cut", b"PK" + bytes(10_000)])
def test_fault_20_damaged_inception_weights_are_refused_before_anything_else(content, tmp_path):
    weights = tmp_path / "weights.pth"
    weights.write_bytes(content)
    refused = bench("run", "--inception-weights", weights, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert refused.returncode == 2
    assert "is not torch-fidelity's file (6726825d" in refused.stderr
    assert not list((tmp_path / "cache").glob("*.safetensors"))


def resumable(out, cache):
    """A run of many short epochs, as a command."""
    options = [*WHOLE, "--epochs=30", "--contestants=tests.plug_in:build", "--mixed-precision=no"]
    options += ["--checkpoint-seconds=0.2"]
    return ["run", *options, "--cache", cache, "--out", out]


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("alone")
    done = bench(*resumable(out, cache))
    assert done.returncode == 0, done.stderr
    return measured(out), (out / ".work" / "probe.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_fault_03_and_05_a_stopped_run_resumes_to_the_same_record(kind, status, tmp_path, cache, left_alone):
    """Stopped after its first checkpoint, and run again: the same measurements as a run left alone.

    Case 3 for real processes; tests/killing.py has every phase.
    """
    expected, probe = left_alone
    (tmp_path / ".work").mkdir()
    (tmp_path / ".work" / "probe.json").write_text(probe)  # the same memory layout, whatever the clock says now
    run = subprocess.Popen(
        command(*resumable(tmp_path, cache)),
        cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True, env=environment(),
    )  # fmt: skip
    checkpoints = tmp_path / ".work" / PLUG_IN / "checkpoints"
    deadline = time.time() + 300
    while not list(checkpoints.glob("leg-*/manifest.json")) and time.time() < deadline:
        time.sleep(0.02)
    os.killpg(run.pid, kind)
    assert run.wait(60) == status
    assert list(checkpoints.glob("leg-*"))
    done = bench(*resumable(tmp_path, cache))
    assert done.returncode == 0, done.stderr
    resumed = measured(tmp_path)
    assert len(resumed["training"]["starts"]) == 2
    assert timeless(resumed) == timeless(expected)


def test_the_judges_are_judged_on_known_defects(tmp_path, cache):
    sizes = ["--images=100", "--image-size=16", "--judge-steps=3", "--count=10"]
    done = bench("judges", *sizes, "--device=cpu", "--cache", cache, "--out", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "judges-16.json").read_text()) == document
    clean, wrong = (document["defects"][name] for name in ("none", "one hairstyle"))
    assert (clean["paired_colour"], clean["exact"], clean["all_right"]) == (0, 1, 1)
    assert wrong["paired_colour"] > 0
    assert wrong["exact"] < 1
    assert "noisy background" in document["defects"]
    assert document["distances"]["copies of training images"]["memorised"]["closer"]["value"] == 1
    noisy = [document["distances"][f"noise, sd {sd} of 255"]["frechet_distance"] for sd in (0, 40)]
    assert noisy[1] > noisy[0]
    assert len(list(tmp_path.glob("*-16.png"))) == 7
    spoken = bench("judges", *sizes, "--device=cpu", "--cache", cache)
    assert "found in the cache" in spoken.stdout


def test_an_extractor_of_ones_own_gets_its_rows(tmp_path, cache):
    extractor = ["--extractors", "tests.plug_in:MEAN_COLOUR"]
    arguments = ["run", *TINY, "--contestants", "tests.plug_in:build", "--cache", cache, "--out", tmp_path, "--json"]
    done = bench(*arguments, *extractor)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    rows = {row["measure"]: row["values"]["tests.plug_in:build"]["value"] for row in document["table"]["rows"]}
    assert rows["Fréchet distance (mean colour)"] > 0
    assert rows["Fréchet distance (EfficientNet-Lite0)"] > 0
    assert "--extractors tests.plug_in:MEAN_COLOUR" in document["records"][0]["command"]
