"""`bench sample`: what is asked is set, the rest is a real avatar's, and what can be asked is listed."""

import json
import shutil
import subprocess
import sys

import pytest
import torch

from bench.commands import cli
from bench.data.schema import Attribute, Schema
from bench.errors import BadInput, known
from bench.inference.attributes import attribute_lines, schema_of
from bench.inference.conditions import chosen_codes, is_shown_by_any
from bench.runs.train import write_asked
from bench.storage.folder import ResultsFolder
from tests.invoking import ROOT, bench

LAPTOP = ROOT / "results" / "laptop"


def test_what_is_asked_is_set_and_the_rest_agrees_with_it(avatars):
    schema = avatars.schema
    top, hat_colour, skin = (schema.names.index(name) for name in ("top", "hatColor", "skinColor"))
    codes = chosen_codes(schema, avatars.codes, "top=hat,skinColor=pale", 4, seed=0)
    assert codes.shape == (4, len(schema.names))
    assert set(codes[:, top].tolist()) == {schema.attributes[top].code("hat")}
    assert set(codes[:, skin].tolist()) == {schema.attributes[skin].code("pale")}
    hats = chosen_codes(schema, avatars.codes, "top=hat", 1, seed=0)
    assert hats[0, hat_colour] != schema.attributes[hat_colour].hidden_code  # a hat comes with a colour


def test_samples_are_real_avatars_where_nothing_is_asked_and_differ_by_seed(avatars):
    first, second = (chosen_codes(avatars.schema, avatars.codes, "", 8, seed) for seed in (0, 1))
    assert not torch.equal(first, second)
    known = avatars.codes.tolist()
    assert all(row in known for row in first.tolist())


def test_what_excludes_itself_is_known_and_set_all_the_same(avatars):
    assert is_shown_by_any(avatars.schema, avatars.codes, "hatColor=pink")
    assert is_shown_by_any(avatars.schema, avatars.codes, "")
    assert not is_shown_by_any(avatars.schema, avatars.codes, "top=curly,hatColor=pink")
    codes = chosen_codes(avatars.schema, avatars.codes, "top=curly,hatColor=pink", 2, seed=0)
    top, hat_colour = (avatars.schema.names.index(name) for name in ("top", "hatColor"))
    assert set(codes[:, top].tolist()) == {avatars.schema.attributes[top].code("curly")}
    assert set(codes[:, hat_colour].tolist()) == {avatars.schema.attributes[hat_colour].code("pink")}


REFUSED = {
    "tops=curly": "unknown attribute 'tops': try top",
    "skincolor=pale": "unknown attribute 'skincolor': try skinColor",
    "skinColor=Pale": "unknown variant of skinColor 'Pale': try pale",
    "SKINCOLOUR=pale": "unknown attribute 'SKINCOLOUR': try skinColor, ",
    "top=curlie": "unknown variant of top 'curlie': try cur",
    "top=": "'top=' names no value: write for example top=",
    "top=curly,skinColor= ": "'skinColor=' names no value: write for example skinColor=",
    "top=curly,eyes=wink,top=bob": "top is asked for twice: name one value of it",
    "curly": "'curly' is no attribute: write name=value, for example top=",
}


@pytest.mark.parametrize("text", REFUSED)
def test_attributes_that_cannot_be_asked_are_refused_with_the_nearest(text, avatars):
    with pytest.raises(BadInput) as refused:
        avatars.schema.parse(text)
    assert str(refused.value).startswith(REFUSED[text])
    assert "\n" not in str(refused.value)


def test_spaces_and_stray_commas_are_no_matter(avatars):
    assert avatars.schema.parse(" top = curly, ,skinColor=pale,") == avatars.schema.parse("skinColor=pale,top=curly")


def test_names_that_differ_in_case_only_are_all_offered():
    with pytest.raises(BadInput, match="unknown variant 'RED': try red, Red$"):
        known("RED", ["red", "Red", "bred"], "variant")


def listed(out, *more, capsys):
    assert cli.main(["sample", "--run", str(out), "--list", *more]) == 0
    return capsys.readouterr().out


def test_the_list_has_a_line_for_each_attribute_and_every_value(avatars, capsys):
    lines = [line for line in listed(LAPTOP, capsys=capsys).splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in lines] == avatars.schema.names
    whole = " ".join(listed(LAPTOP, "--contestant", "scratch", capsys=capsys).split())
    for attribute in avatars.schema.attributes:
        assert f"{attribute.name} {', '.join(attribute.variants)}" in whole


def test_the_list_is_wrapped_to_the_width_that_is_there(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    schema = Schema((Attribute("top", tuple(f"long-value-{i}" for i in range(9))), Attribute("eyes", ("open",))))
    lines = "\n".join(attribute_lines(schema)).splitlines()
    assert lines[0] == "top   long-value-0, long-value-1,"
    assert lines[-1] == "eyes  open"
    assert max(map(len, lines)) <= 40


def test_the_list_waits_for_no_torch():
    code = "import sys; from bench.commands.cli import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "sample", "--run", str(LAPTOP), "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("top ")


def test_what_a_run_began_with_goes_before_its_record(tmp_path, avatars):
    shutil.copytree(LAPTOP / "records", tmp_path / "records")
    assert schema_of(tmp_path, "scratch", "matched") == avatars.schema
    record = next((tmp_path / "records").glob("scratch*"))
    fields = json.loads(record.read_text())
    fields["data"]["schema"] = fields["data"]["schema"][:2]
    record.write_text(json.dumps(fields))
    with pytest.raises(BadInput, match="runs on different data: name one by --contestant"):
        schema_of(tmp_path, None, "matched")
    write_asked(ResultsFolder(tmp_path).run("scratch-matched-seed0").test, avatars)
    assert schema_of(tmp_path, None, "matched") == schema_of(tmp_path, "scratch", "matched") == avatars.schema


def test_a_list_of_nothing_or_of_damaged_files_is_refused(tmp_path):
    for contestant, words in ((None, "begun run:"), ("scrach", r"begun run of scrach \(matched\):")):
        with pytest.raises(BadInput, match=f"holds neither a record nor a {words}"):
            schema_of(tmp_path, contestant, "matched")
    path = tmp_path / ".work" / "scratch-matched-seed0" / "test.safetensors"
    path.parent.mkdir(parents=True)
    for content in (b"", b"cut", bytes(100), (8).to_bytes(8, "little") + b"{}      "):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="'scratch-matched-seed0/test.safetensors' cannot be read"):
            schema_of(tmp_path, None, "matched")


WRONG = {
    "nothing": ([], "bench: to draw, name --contestant and --out; --list prints what can be asked for\n"),
    "guidance": (["--guidance=nan"], "argument --guidance: 'nan' is not a finite number"),
    "infinite": (["--guidance=-inf"], "argument --guidance: '-inf' is not a finite number"),
    "count": (["--count=1025"], "argument --count: 1025 are too many for one picture: at most 1024"),
    "none": (["--count=0"], "argument --count: '0' is not a positive whole number"),
    "kind": (["--out=x.jpg"], "argument --out: 'x.jpg' is not a .png"),
    "no weights": (["--contestant=diffusers-8", "--out=x.png"], "holds no weights of diffusers-8 (matched)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_drawn_is_refused_in_one_line(kind, capsys):
    more, words = WRONG[kind]
    assert cli.main(["sample", "--run", str(LAPTOP), *more]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert words in said.err


def test_the_list_by_the_command_itself():
    done = bench("sample", "--run", "results/laptop", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "skinColor    tanned, yellow, pale, light, brown, brownDark, black\n" in done.stdout
