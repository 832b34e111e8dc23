"""The READMEs tell the truth: commands parse, links lead somewhere, tables and numbers were measured."""

import re
import shlex
from dataclasses import fields
from urllib.parse import unquote

import pytest

from bench import contestants
from bench.commands.cli import parser
from bench.config import PRESETS, Sizes
from bench.duties.candidate import Candidate
from bench.duties.examine import examine
from bench.render.anatomy import lines
from bench.render.judges import defect_lines
from bench.render.overhead import overhead_lines
from tests.pages import (
    AT_ONE_RATE,
    COST,
    OF_EXPERIMENTS,
    QUALITY,
    README,
    RESULTS,
    ROOT,
    TABLE,
    TEXTS,
    UNCERTAIN,
    WRITTEN,
    between,
    plain,
    read,
    row,
)


def test_the_two_commands_stand_at_the_top():
    commands = re.findall(r"```\n(pip install .*)\n```", README[:2000])
    assert commands == ["pip install -e . && python -m bench run", "pip install -e '.[test]' && pytest"]


def test_it_is_short():
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 2200
    assert [name for name in WRITTEN if len(TEXTS[name].splitlines()) > 200] == []


def test_every_line_of_its_table_was_measured_and_the_blog_posts_ten_rows_come_first():
    shown = [line for line in between("laptop", README) if line.startswith("|")]
    whole = TABLE.replace("](images/", "](results/laptop/images/").splitlines()
    measured = ["|".join(line.split("|")[:4]) + "|" for line in whole]  # its first two columns
    assert len(shown) > 15
    assert [line for line in shown if line not in measured] == []
    assert shown[:12] == measured[:12]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_number_with_an_uncertainty_was_measured(name):
    measured = TABLE + AT_ONE_RATE + OF_EXPERIMENTS
    assert [each for each in re.findall(UNCERTAIN, plain(TEXTS[name])) if each not in measured] == []


def test_smoke_is_as_large_as_it_says():
    assert f"draws {PRESETS['smoke'].images} avatars" in README


def test_its_parameter_counts_are_those_of_the_anatomy():
    counts = {each["name"]: each["parameters"]["total"] for each in read("anatomy", "anatomy.json")["contestants"]}
    said = {f"{count:,}" for count in re.findall(r"\d+,\d+,\d+", README) for count in [int(count.replace(",", ""))]}
    assert said == {f"{count:,}" for count in counts.values()}


def test_its_own_denoiser_keeps_the_contract(tmp_path, monkeypatch):
    code = README.split("## Your own denoiser")[1].split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line]) <= 15
    (tmp_path / "my_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for image_size, scale in ((32, 1 / 8), (64, 1.0)):
        contestants.check("my_module:build", image_size, scale)
    assert [found for found in examine(Candidate("my_module:build", 98, 32, 1 / 8)) if found.status != "ok"] == []


# bench/quality/README.md


def test_the_table_of_defects_was_measured():
    assert between("defects", QUALITY) == defect_lines(read("judges", "judges-32.json"))


def test_what_deceives_the_exact_judge():
    defects = read("judges", "judges-32.json")["defects"]
    assert f"**The exact judge takes a darker picture for another one** ({defects['darker']['exact']:.3f})" in QUALITY
    seen = {name: (found["paired_colour"], -found["paired_structure"]) for name, found in defects.items()}
    del seen["none"]
    assert [min(seen, key=lambda name: seen[name][i]) for i in (0, 1)] == ["blur", "paler"]
    assert "ΔE sees a blur least, SSIM a paler picture" in plain(QUALITY)


def test_the_classifier_is_as_good_as_it_says():
    for side, words in (
        (32, "{} of the attributes right at 32×32 ({} with light noise, {} with light blur)"),
        (64, "{} at 64×64 ({}, {})"),
    ):
        macro = read("judges", f"judges-{side}.json")["classifier"]["macro"]
        assert words.format(*(f"{macro[name]:.3f}" for name in ("ceiling", "noisy", "blurred"))) in plain(QUALITY)


def test_what_the_distances_say_of_noise_and_of_few_hairstyles():
    found = read("judges", "judges-32.json")["distances"]
    clean, noisy = (found[f"noise, sd {sd} of 255"] for sd in (0, 5))
    few = found["a quarter of the hairstyles"]
    text = plain(QUALITY)
    assert f"from {clean['frechet_distance']:.0f} to {noisy['frechet_distance']:.0f}" in text
    assert f"their precision from {clean['precision']:.2f} to {noisy['precision']:.2f}" in text
    assert f"recall falls from {clean['recall']:.2f} to {few['recall']:.2f}" in text
    assert f"precision does not ({clean['precision']:.2f}, {few['precision']:.2f})" in text


# bench/cost/README.md


def test_every_line_of_the_anatomy_and_of_the_overhead_is_in_the_results():
    document = read("anatomy", "anatomy.json")
    entries = document["contestants"]
    written = {line.label: [line.cell(entry).replace("\n", "<br>") for entry in entries] for line in lines(document)}
    head, _, *rows = [line.strip("| ").split(" | ") for line in between("anatomy", COST)]
    assert head == [entry["name"] for entry in entries]
    assert len(rows) > 10
    assert [cells for cells in rows if written[cells[0]] != cells[1:]] == []
    assert between("overhead", COST) == [f"- {line}" for line in overhead_lines(read("overhead", "overhead.json"))[1:]]


def test_the_blog_posts_sum_of_activations_and_ours():
    (scratch, *_) = read("anatomy", "anatomy.json")["contestants"]
    theirs = scratch["source_hook_sum"]
    assert f"{theirs['mib']:,} MB" in plain(COST)
    assert f"ours has {theirs['ratio']:.3f} of that" in plain(COST)


def test_what_the_h100_has_shown():
    text, full = plain(COST), (RESULTS / "full" / "table.md").read_text()
    seconds, accuracy = row("training time per epoch ↓", full), row("attribute accuracy, macro ↑", full)
    ratio = float(seconds[1].split()[0]) / float(seconds[0].split()[0])
    assert f"{seconds[0]} with `scratch` and {seconds[1]} with `diffusers-32`, {ratio:.1f} times as long" in text
    assert f"Attribute accuracy is {accuracy[0]} and {accuracy[1]}, intervals" in text
    runs = [read("full", "records", f"{name}-matched-seed0.json") for name in ("scratch", "diffusers-32")]
    logs = [run["measurements"]["training"] for run in runs]
    assert {len(log["seconds_per_epoch"]) * log["images_per_epoch"] for log in logs} == {25_632}
    assert "25,632 images of training" in text


def test_the_ladder_on_the_h100_was_measured():
    document = read("full", "ladder.json")
    speeds = {
        name: {rung: each["images_per_second"] for rung, each in found.items()}
        for name, found in document["contestants"].items()
    }
    for rung in ("TF32", "bf16", "bf16, channels_last", "bf16, channels_last, compiled"):
        assert row(rung, COST)[:2] == [f"{found[rung] / found['fp32']:.1f}" for found in speeds.values()]
    assert list(speeds) == ["scratch", "diffusers-32"]
    assert f"in batches of {document['batch_size']}" in plain(COST)


# All of them


def slug(heading):
    """A heading's anchor, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path):
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_and_picture_leads_somewhere(name):
    here, broken = (ROOT / name).parent, []
    targets = re.findall(r"\]\((?!https?:)([^)]+)\)", TEXTS[name])
    assert targets
    for target in targets:
        path, _, anchor = target.partition("#")
        there = (here / unquote(path)).resolve() if path else ROOT / name
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_it_names_parses(name):
    commands = re.findall(r"(?:python -m |-m |`)bench ([a-z][^`\n#|]*)", TEXTS[name])
    assert commands
    for command in map(shlex.split, commands):
        if len(command) > 1:
            assert parser().parse_args(command).command
        else:  # named in a sentence, without what it may need
            assert re.search(rf"^    {command[0]} ", parser().format_help(), re.MULTILINE), command


def test_every_option_it_names_is_one():
    known = "".join(path.read_text() for path in (ROOT / "bench" / "commands").glob("*.py"))
    sizes = {f"--{field.name.replace('_', '-')}" for field in fields(Sizes)}
    theirs = {"--num_processes", "--head", "--address"}  # accelerate's, and Ray's; and torchrun's
    theirs |= {"--nnodes", "--node-rank", "--nproc-per-node", "--master-addr", "--master-port"}
    named = {option for name in WRITTEN for option in re.findall(r"(?<![\w<!-])--[a-z][\w-]*", TEXTS[name])}
    assert [option for option in sorted(named - sizes - theirs) if f'"{option}"' not in known] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_piece_of_code_it_points_at_is_there(name):
    rooms = "bench|tests|scratch_unet|diffusers_unet"
    for path, inside in re.findall(rf"`((?:{rooms})/[\w/]*\.?\w*)(?:::(\w+))?`", TEXTS[name]):
        assert (ROOT / path).exists(), path
        if inside:
            defined = rf"^(?:(?:def|class) {inside}\b|{inside}\b.* = )"
            assert re.search(defined, (ROOT / path).read_text(), re.MULTILINE), f"{path}::{inside}"


@pytest.mark.parametrize("name", WRITTEN)
def test_its_words_are_plain_and_no_machine_is_in_it(name):
    literal = r"bench judges|judges/judges|results/judges|judges-\d\d|(?:quality|render)/judges\.py|--judge-steps"
    literal += r"|exact judge"  # a term of the table, which bench/quality/README.md explains
    text = re.sub(literal, "", TEXTS[name])
    assert re.findall(r"\bjudg\w*|\bthe source\b|/(?:tmp|root|home)/|pypi", text, re.IGNORECASE) == []


def test_what_it_says_of_the_twin_is_in_the_results():
    versions = read("twin", "implementation.json")["pairs"]["twin-32"]["versions"]
    said = plain((ROOT / "bench" / "cost" / "README.md").read_text())
    mib = {name: f"{version['peak_bytes'] / 2**20:.0f}" for name, version in versions.items()}
    assert f"needed {mib['twin']} of its {mib['library']} MiB" in said
    for name in ("twin, recomputing", "library, checkpointing"):
        assert f"needed {mib[name]} MiB and {versions[name]['ratios']['step']['median']:.2f} times as long" in said
    for name in ("twin", "twin, recomputing", "library, checkpointing"):
        ratio = versions[name]["ratios"]["step"]
        assert f"{ratio['median']:.2f} times as long" in said
        assert f"{ratio['low']:.2f} to {ratio['high']:.2f})" in said
