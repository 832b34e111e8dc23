"""One way to the data: `load` renders or reads a set once, and finds it again by its content."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loky import ProcessPoolExecutor

from bench import randomness
from bench.data import avataaars, cartoonset, files
from bench.data.dataset import AvatarSet, from_arrays
from bench.data.schema import Schema
from bench.display import display
from bench.errors import BadInput
from bench.storage import cache

AVATAAARS = "avataaars"
FORMAT = 3  # of the cache file, and of how pictures are read
ALONE = 128  # fewer pictures than this are not worth starting processes for


@dataclass(frozen=True)
class DataRequest:
    """Which avatars: a source ("avataaars", or a Cartoon Set's path), how many at most, and their size."""

    source: str
    images: int
    image_size: int
    skip_bad: bool = False


def default_cache() -> Path:
    """The user's cache folder, or the one that UNET_BENCH_CACHE names."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("UNET_BENCH_CACHE") or Path(home) / "unet-bench")


def load(request: DataRequest, path: Path) -> AvatarSet:
    """The avatars asked for, from the cache file `path` if it has them whole, else made and cached there."""
    cached = read_cache(path)
    if cached is not None:
        return cached
    avatars = render(request) if request.source == AVATAAARS else read(request)
    write_cache(path, avatars)
    return avatars


def cache_path(request: DataRequest, folder: Path) -> Path:
    """Where a request's avatars lie: a name made of everything that their pixels depend on."""
    content = avataaars.fingerprint() if request.source == AVATAAARS else fingerprint(Path(request.source))
    key = json.dumps([FORMAT, content, request.images, request.image_size, request.skip_bad])
    return folder / f"avatars-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"


def fingerprint(path: Path) -> str:
    """sha256 of a user's set: of the archive's bytes, or of every file's name and bytes."""
    if files.is_archive(path) and os.path.isfile(path):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name, content in files.members(path):
        digest.update(os.fsencode(name) + f"\0{len(content)}\0".encode() + content)  # a name need not be UTF-8
    return digest.hexdigest()


@contextmanager
def over_all_cores() -> Iterator[cartoonset.Mapper]:
    """A `map` over all cores, whose processes start with the first list that is worth them."""
    with ExitStack() as stack:
        workers: ProcessPoolExecutor | None = None

        def run(function: Callable, items: list) -> list:
            nonlocal workers
            if len(items) < ALONE:
                return [function(item) for item in items]
            workers = workers or stack.enter_context(pool())
            return list(workers.map(function, items, chunksize=16))

        yield run


def pool() -> ProcessPoolExecutor:
    # Not a fork, which would copy torch's threads in whatever state they are; and not the standard library's "spawn",
    # which runs the user's own script once more in each process.
    return ProcessPoolExecutor(os.cpu_count())


def render(request: DataRequest) -> AvatarSet:
    """The first `images` avatars, drawn on all cores."""
    if request.images < 2:
        raise BadInput(f"--images {request.images} is too few: at least 2")
    labels = avataaars.draw_labels(request.images)
    with display("data") if len(labels) >= ALONE else nullcontext() as show:
        if show is not None:
            show.phase("drawing avatars", len(labels))
        pictures = draw(labels, request.image_size, (lambda _: None) if show is None else show.advance)
    return from_arrays(pictures, avataaars.codes(labels), avataaars.schema(), AVATAAARS)


def draw(labels: list[dict[str, str]], size: int, advance: Callable[[int], None] = lambda n: None) -> np.ndarray:
    """Avatars by their labels, uint8 (N, size, size, 3): many on all cores, few in this process."""
    one = functools.partial(avataaars.render, size=size)
    pictures = np.empty((len(labels), size, size, 3), np.uint8)
    with pool() if len(labels) >= ALONE else nullcontext() as workers:
        drawn = map(one, labels) if workers is None else workers.map(one, labels, chunksize=32)
        for i, picture in enumerate(drawn):
            pictures[i] = picture
            advance(1)
    return pictures


def read(request: DataRequest) -> AvatarSet:
    """A user's Cartoon Set; BadInput names the first problem unless bad images may be skipped."""
    path = Path(request.source)
    with display("data") as show, over_all_cores() as mapper:
        show.phase(f"reading {path.name}")
        found = cartoonset.scan(path, request.image_size, mapper, show.advance)
    if found.problems and not request.skip_bad:
        more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
        raise BadInput(f"{found.problems[0]}{more}: mend it, see `bench data verify`, or pass --skip-bad")
    stems = sorted(found.images.keys() & found.rows.keys() - found.bad)
    if len(stems) < 2:
        raise BadInput(f"data '{path}' has {len(stems)} usable images: at least 2 are needed")
    chosen = randomness.epoch_order(0, 0, len(stems))[: request.images].sort().values.tolist()
    stems = [stems[i] for i in chosen]
    codes = np.array([[row.variant for row in found.rows[stem]] for stem in stems], dtype=np.int64)
    schema = cartoonset.schema_of(found, found.rows[stems[0]])
    return from_arrays(np.stack([found.images[s] for s in stems]), codes, schema, path.name, len(found.bad))


def write_cache(path: Path, avatars: AvatarSet) -> None:
    about = {
        "name": path.name,
        "schema": json.dumps(avatars.schema.to_json()),
        "source": avatars.source,
        "skipped": str(avatars.skipped),
    }
    cache.write(path, {"images": avatars.images, "codes": avatars.codes}, about)


def read_cache(path: Path) -> AvatarSet | None:
    """The cached set; None if there is none, or if it is damaged, or another's under this name."""
    found = cache.read(path)
    if found is None:
        return None
    tensors, about = found
    if about.get("name") != path.name:
        cache.warn(path, "it was written under another name")
        return None
    schema = Schema.from_json(json.loads(about["schema"]))
    return AvatarSet(tensors["images"], tensors["codes"], schema, about["source"], int(about["skipped"]))
