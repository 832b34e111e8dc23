"""FAULTS.md, case 16: pickles planted wherever the suite reads, and none of them run."""

import ast
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.library import DataRequest, cache_path, load
from bench.errors import BadInput
from bench.quality import features, inception
from bench.quality.classifier import ClassifierConfig, cached_classifier, classifier_path
from bench.quality.features import INCEPTION, cached_features, extractor_named, features_key, load_extractor

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "scratch_unet", "diffusers_unet")


class Bomb:
    """What unpickles to a file beside the tests."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def planted(kind, canary):
    """A file's bytes that run code when they are unpickled."""
    if kind == "pickle":
        return pickle.dumps(Bomb(canary), protocol=2)  # torch.save's own: torch warns of others
    buffer = io.BytesIO()
    if kind == "npz":
        np.savez(buffer, features=np.array([Bomb(canary)], dtype=object))
    else:
        torch.save({"features": Bomb(canary)}, buffer, _use_new_zipfile_serialization=kind == "torch")
    return buffer.getvalue()


def test_fault_16_the_planted_files_do_run_code_when_unpickled(tmp_path):
    """Without this the tests below would show nothing."""
    for kind in ("pickle", "torch", "old torch"):
        canary = tmp_path / kind
        content = io.BytesIO(planted(kind, canary))
        pickle.load(content) if kind == "pickle" else torch.load(content, weights_only=False)
        assert canary.exists()


@pytest.fixture
def caches(parts, tmp_path):
    """Every cache: its file, and how what it holds is had."""
    images, name = parts.test.images, extractor_named("tests.plug_in:MEAN_COLOUR")
    config = ClassifierConfig(steps=3)
    wanted = DataRequest("avataaars", 5, 16)
    data = cache_path(wanted, tmp_path)
    key = features_key(images, name, None, "cpu")
    return {
        "data": (data, lambda: load(wanted, data).images),
        "features": (
            tmp_path / f"features-{key[:24]}.safetensors",
            lambda: cached_features(images, name, None, "cpu", tmp_path),
        ),
        "judge": (
            classifier_path(parts, config, tmp_path),
            lambda: cached_classifier(parts, config, torch.device("cpu"), tmp_path).heads.weight,
        ),
    }


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch", "npz"])
@pytest.mark.parametrize("cache", ["data", "features", "judge"])
def test_fault_16_a_pickle_planted_as_a_cache_is_never_run(cache, kind, caches, tmp_path, capsys):
    path, had = caches[cache]
    path.write_bytes(planted(kind, tmp_path / "canary"))
    made = had()
    assert f"{path.name} is damaged" in capsys.readouterr().err
    assert torch.equal(had(), made)  # the second time from the cache
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_fault_16_a_pickle_planted_as_inceptions_weights_is_never_run(kind, tmp_path, monkeypatch):
    """Even where the hash is forged: eight of its digits are known, which is a few minutes' work."""
    monkeypatch.setattr(inception, "sha256_of", lambda path: inception.INCEPTION_SHA256_START + "0" * 56)
    path = tmp_path / inception.INCEPTION_FILE
    path.write_bytes(planted(kind, tmp_path / "canary"))
    inception.check_inception_weights(path)
    with pytest.raises(BadInput, match="cannot be loaded as the weights of inception") as refusal:
        load_extractor(INCEPTION, path, "cpu")
    assert "Weights only load failed" in str(refusal.value)  # by torch's own unpickler
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "canary").exists()


def test_fault_16_torch_loads_whole_pickles_again_where_it_was_asked_to(monkeypatch):
    for before in (None, "0"):
        monkeypatch.delenv(features.SAFE_LOADING, raising=False)
        if before is not None:
            monkeypatch.setenv(features.SAFE_LOADING, before)
        with features.only_tensors_loaded():
            assert features.os.environ[features.SAFE_LOADING] == "1"
        assert features.os.environ.get(features.SAFE_LOADING) == before


FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "pd.read_pickle"}


def unpickling(tree):
    """What a module does that runs, or lets a file run, code of the file's choosing."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.split(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                yield called
            allowed = [word for word in node.keywords if word.arg == "allow_pickle"]
            yield from (ast.unparse(word) for word in allowed if ast.unparse(word.value) != "False")


def test_fault_16_nothing_in_the_package_unpickles():
    sources = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(sources) > 50
    found = {file.name: list(unpickling(ast.parse(file.read_text()))) for file in sources}
    assert {name: what for name, what in found.items() if what} == {}
    assert "LOAD_TRUNCATED_IMAGES" not in "".join(file.read_text() for file in sources)  # case 18
    caught = "import pickle\nfrom dill import x\ntorch.load(f)\nmodel.eval()\neval(x)\nnp.load(f, allow_pickle=True)"
    assert len(list(unpickling(ast.parse(caught)))) == 5
