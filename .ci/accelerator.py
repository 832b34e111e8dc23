"""What a machine with an accelerator is worth, measured in one call of a few minutes; see README.md beside this.

Stages: wheels, tests, ladder, train. Each is a process of its own with a limit; what it leaves lies in --out at once.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTESTANTS = ("scratch", "diffusers-32")
CURVE = 16  # samples after every epoch
FULL_STEPS, STEPS, GUIDED, SCALES = 300, 30, 2, 6  # of the recipe
TRAINED = 0.65  # of a data set of this size: bench/data/splits.py
FORWARD_SHARE = 1 / 3  # of a training step is its forward pass
FIXED_SECONDS = 200  # of a run of both: imports, data, classifier, accounts, checkpoints, scoring, pictures


class Stages:
    """Runs commands one after another, each with its limit, and notes at once what became of them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.out, self.started = arguments.out, time.monotonic()
        self.limit = 60 * arguments.minutes
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(arguments.site)])
        if arguments.commit:
            self.environment["UNET_BENCH_COMMIT"] = arguments.commit
        self.notes: list[dict[str, object]] = []

    def left(self) -> float:
        return self.limit - (time.monotonic() - self.started)

    def run(self, name: str, command: list[object], seconds: float) -> bool:
        """Whether the command ended well within its seconds; its output goes to the screen and to a log."""
        words, began = [str(word) for word in command], time.monotonic()
        print(f"== {name} (at most {min(seconds, self.left()):.0f} s): {' '.join(words)}", flush=True)
        with (self.out / "log.txt").open("a") as log:
            log.write(f"== {name}\n")
            log.flush()
            process = subprocess.Popen(words, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                status: int | str = process.wait(max(1.0, min(seconds, self.left())))
            except subprocess.TimeoutExpired:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                status = "out of time"
        taken = round(time.monotonic() - began, 1)
        self.notes.append({"stage": name, "status": status, "seconds": taken, "command": " ".join(words)})
        (self.out / "stages.json").write_text(json.dumps(self.notes, indent=1))
        print(f"== {name}: {status}, {taken} s", flush=True)
        return status == 0


def main() -> int:
    arguments = parser().parse_args()
    arguments.out, arguments.site = arguments.out.resolve(), ROOT / arguments.site
    arguments.out.mkdir(parents=True, exist_ok=True)
    stages = Stages(arguments)
    if "wheels" in arguments.stages and arguments.wheels.is_dir():
        stages.run("wheels", install(arguments), 90)
    if "tests" in arguments.stages:
        stages.run("tests", tests(arguments), 200)
    if "ladder" in arguments.stages:
        stages.run("ladder", ladder(arguments), 330)
    if "train" in arguments.stages:
        stages.run("train", train(arguments, stages.left()), stages.left() - 15)
        pack(arguments)
    print((arguments.out / "log.txt").read_text()[-7000:])
    return 0 if all(note["status"] == 0 for note in stages.notes) else 1


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True, help="logs, documents and the packed results")
    options.add_argument("--minutes", type=float, default=9.0, help="for all stages together (default 9)")
    options.add_argument("--stages", default="wheels,tests,ladder,train", type=lambda text: text.split(","))
    options.add_argument("--wheels", type=Path, default=ROOT / ".whl", help="wheels to install (default .whl)")
    options.add_argument("--site", type=Path, default=Path("build/site"), help="where they are installed")
    options.add_argument("--device", default="cuda")
    options.add_argument("--scale", default="1")
    options.add_argument("--image-size", default="64")
    options.add_argument("--batch-size", default="32", help="of training (default 32; the ladder takes twice as many)")
    options.add_argument("--learning-rate", default="4e-4")
    options.add_argument("--mixed-precision", default="bf16")
    options.add_argument(
        "--images", type=int, default=9_500, help="of the data set, those for validation and test among them"
    )
    options.add_argument("--samples", type=int, default=256, help="that are scored (default 256)")
    options.add_argument("--sweep-samples", type=int, default=8, help="of every guidance scale (default 8)")
    options.add_argument("--ladder", type=Path, help="an earlier ladder.json (default the one in --out)")
    options.add_argument("--results", type=Path, default=Path("results/full"))
    options.add_argument("--commit", help="of the code, for the records, where this is no checkout")
    options.add_argument("--no-compile", action="store_true")
    return options


def install(arguments: argparse.Namespace) -> list[object]:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--upgrade"]
    return [*pip, "--target", arguments.site, *sorted(arguments.wheels.glob("*.whl"))]


def tests(arguments: argparse.Namespace) -> list[object]:
    """The CUDA tests, side by side where that is possible; the machine's own plug-ins may warn."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-m", "cuda", "-W", "default"]
    beside = ["-n", "8"] if importlib.util.find_spec("xdist") else []
    return [*pytest, *beside, "tests/test_cuda.py", f"--junitxml={arguments.out / 'tests.xml'}"]


def ladder(arguments: argparse.Namespace) -> list[object]:
    return [
        sys.executable, "-m", "bench", "ladder", "--preset", "full", "--contestants", ",".join(CONTESTANTS),
        "--device", arguments.device, "--scale", arguments.scale, "--image-size", arguments.image_size,
        "--batch-size", 2 * int(arguments.batch_size), "--out", arguments.out / "ladder.json",
        *([] if arguments.no_compile else ["--compile"]),
    ]  # fmt: skip


def train(arguments: argparse.Namespace, seconds: float) -> list[object]:
    """A run of as many epochs as the seconds are thought to hold, by the speeds of the ladder."""
    return [
        sys.executable, "-m", "bench", "run", "--preset", "full", "--contestants", ",".join(CONTESTANTS),
        "--device", arguments.device, "--scale", arguments.scale, "--image-size", arguments.image_size,
        "--batch-size", arguments.batch_size, "--learning-rate", arguments.learning_rate,
        "--mixed-precision", arguments.mixed_precision, "--images", arguments.images,
        "--epochs", epochs_within(arguments, seconds), "--samples", arguments.samples, "--curve-samples", CURVE,
        "--sweep-samples", arguments.sweep_samples,
        "--full-samples", arguments.sweep_samples, "--judge-steps", 1500, "--checkpoint-seconds", 100_000,
        "--out", arguments.results,
    ]  # fmt: skip


def epochs_within(arguments: argparse.Namespace, seconds: float) -> int:
    """How many epochs of both contestants fit beside sampling and all that does not depend on them; at least one."""
    document = json.loads((arguments.ladder or arguments.out / "ladder.json").read_text())
    precision = "bf16" if arguments.mixed_precision == "bf16" else "fp32"
    seconds_per_image = 0.0
    for rungs in document["contestants"].values():
        speeds = [found.get("images_per_second", 0) for name, found in rungs.items() if name.startswith(precision)
                  and "compiled" not in name and "device" not in name]  # fmt: skip
        seconds_per_image += 1 / max(speeds)
    sweep = SCALES * STEPS * GUIDED + FULL_STEPS * GUIDED
    drawn = arguments.samples * STEPS * GUIDED + arguments.sweep_samples * sweep
    each_epoch = TRAINED * arguments.images + FORWARD_SHARE * (CURVE * STEPS * GUIDED + 64 * 8 * 2)
    images = (seconds - FIXED_SECONDS) / (1.05 * seconds_per_image) - FORWARD_SHARE * drawn
    epochs = max(1, int(images / each_epoch))
    print(f"== {1 / seconds_per_image:.0f} images/s of both in turn: {epochs} epochs", flush=True)
    return epochs


def pack(arguments: argparse.Namespace) -> None:
    """Records, tables and pictures in one file, the samples of each run in another; checkpoints stay behind."""
    results = ROOT / arguments.results
    shown = [path for path in results.rglob("*") if ".work" not in path.parts]
    write_archive(arguments.out / "results.tar.gz", results, shown)
    for folder in sorted((results / ".work").glob("*/samples")):
        write_archive(arguments.out / f"samples-{folder.parent.name}.tar.gz", results, list(folder.rglob("*")))


def write_archive(archive: Path, root: Path, files: list[Path]) -> None:
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(files):
            if path.is_file():
                packed.add(path, path.relative_to(root))


if __name__ == "__main__":
    sys.exit(main())
