"""`bench data` as a user meets it, and a run over what it has exported."""

import json

from PIL import Image

from tests.invoking import TINY, bench


def test_data_commands(tmp_path):
    assert bench("data", "export", tmp_path / "set.tgz", "--images", 5).returncode == 0
    verified = bench("data", "verify", tmp_path / "set.tgz")
    assert (verified.returncode, verified.stdout) == (0, "")
    assert "5 good images, 0 problems" in verified.stderr
    assert bench("data", "preview", tmp_path / "set.tgz", "--out", tmp_path / "p.png", "--count", 4).returncode == 0
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > 600
    again = bench("data", "export", tmp_path / "set.tgz")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_a_run_over_an_exported_set(tmp_path, cache):
    bench("data", "export", tmp_path / "set", "--images", 40)
    (tmp_path / "set" / "cs000001.csv").unlink()
    arguments = ["run", *TINY, "--data", tmp_path / "set", "--contestants", "tests.plug_in:build", "--cache", cache]
    refused = bench(*arguments, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert "cs000001.png: has no cs000001.csv" in refused.stderr
    done = bench(*arguments, "--out", tmp_path / "out", "--skip-bad", "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)["records"]
    assert (record["config"]["data"], record["data"]["images"], record["data"]["skipped"]) == ("set", 39, 1)
    assert "--data set --skip-bad" in record["command"]
    assert str(tmp_path) not in json.dumps(record)
