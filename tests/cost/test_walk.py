"""The walk through the UNets: its sums are the account's, and the page of learners is what is written today."""

import re
import subprocess
import sys

import pytest
from PIL import Image

from bench.commands.cli import parser
from bench.cost import terms
from bench.cost.account import published
from bench.cost.walk import walk
from bench.render.walk import PICTURE, SECTIONS, page_with, read_page
from scratch_unet.architecture import CHANGES
from tests.accounts import remembered_account
from tests.invoking import ROOT, bench

PAGE = ROOT / "scratch_unet" / "README.md"
NAMES = ("scratch", "diffusers-32")
SOURCES = [*(ROOT / "scratch_unet").glob("*.py")]


@pytest.fixture(scope="module")
def walks():
    return {name: walk(name, published(128)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_sums_are_those_of_the_account(walks, name):
    cost, blocks = remembered_account(name, published(128)), [*walks[name].blocks, walks[name].rest]
    assert sum(block.parameters for block in blocks) == cost["parameters"]["total"]
    assert sum(block.forward_flops for block in blocks) / 128 == cost["flops_per_image"]["forward"]
    assert sum(block.saved_bytes for block in blocks) == cost["activations"]["saved_bytes"]
    assert sum(len(block.attention) for block in blocks) == len(cost["attention"])
    levels = {level: here["parameters"] for level, here in cost["levels"].items() if here["parameters"]}
    assert levels == by_level(walks[name].blocks)


def by_level(blocks):
    """Parameters by the resolution of a block's convolutions, as an account has them."""
    found = {}
    for block in blocks:
        image = block.input if block.role == terms.OUTPUT else block.output
        level = {terms.TAU: terms.TAU, terms.TIME: terms.REST}.get(block.role) or terms.square(image[-1])
        found[level] = found.get(level, 0) + block.parameters
    return {level: count for level, count in found.items() if count}


@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_leave_nothing_out_but_the_loss(walks, name):
    rest = walks[name].rest
    assert (rest.parameters, rest.forward_flops) == (0, 0)
    assert rest.saved_bytes == 128 * 2 * 3 * 64 * 64 * 4  # prediction and target


def test_a_block_counted_by_hand(walks):
    block = next(block for block in walks["scratch"].blocks if block.role == terms.RESNET)
    convolutions = 2 * (2 * 9 * 128 * 128 * 64 * 64)
    assert block.forward_flops == 128 * (convolutions + 2 * 256 * 128)
    assert block.parameters == 2 * (9 * 128 * 128 + 128) + 2 * 256 + 257 * 128
    assert (block.input, block.output) == ((128, 64, 64), (128, 64, 64))
    image, time = 128 * 64 * 64, 256
    assert block.saved_bytes == pytest.approx(128 * 4 * (6 * image + 2 * time), rel=1e-3)


def test_the_order_is_that_of_the_forward_pass(walks):
    blocks = walks["scratch"].blocks
    assert [block.place for block in blocks] == sorted(block.place for block in blocks)
    for before, after in zip(blocks[2:], blocks[3:], strict=False):
        joins = before.role == terms.UPSAMPLE
        assert (after.input[0] > before.output[0]) if joins else (after.input == before.output)


def test_the_committed_page_is_what_is_written_today(walks):
    page = read_page(PAGE)
    assert page_with(page, *(walks[name] for name in NAMES)) == page


def test_what_both_are_made_of_differs_in_every_change(walks):
    ours, library = (walks[name].made_of for name in NAMES)
    assert ours.keys() == library.keys() == CHANGES.keys()
    assert [change for change in CHANGES if any(ours[change][f] == library[change][f] for f in CHANGES[change])] == []
    assert ours["heads"] == {"heads": 4, "scales_heads": False}
    assert library["levels"] == {"channels": (128, 256, 512)}


def test_its_snippets_are_the_source():
    sources = ["\n".join(map(str.strip, path.read_text().splitlines())) for path in SOURCES]
    snippets = re.findall(r"```python\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert len(snippets) >= 4
    for snippet in snippets:
        plain = "\n".join(map(str.strip, snippet.splitlines()))
        assert any(plain in source for source in sources), snippet


def test_every_share_and_link_in_its_prose_is_there():
    page = PAGE.read_text()
    tables = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    prose = "\n".join(line for line in page.splitlines() if not line.startswith("|"))
    assert len(prose.splitlines()) <= 140
    shares = re.findall(r"[\d.]+ %", prose)
    assert shares
    assert [share for share in shares if f"({share})" not in tables] == []
    targets = re.findall(r"\]\((?!http|#)([^)]+)\)", page)
    assert [target for target in targets if not (PAGE.parent / target.split("#")[0]).exists()] == []


def test_rendering_imports_no_torch():
    code = "import sys, bench.render.walk, bench.render.images.walk; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_command_writes_the_page_and_its_picture(walks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bench.cost.walk.walk", lambda name, setting: walks[name])
    page = tmp_path / "page.md"
    page.write_text("\n".join(["# Mine", *(f"<!-- {n} -->\nold\n<!-- /{n} -->\nkept" for n in SECTIONS)]) + "\n")
    arguments = parser().parse_args(["anatomy", "--walk", str(page)])
    assert arguments.command(arguments) == 0
    assert capsys.readouterr().out == f"{page}\n"
    written = page.read_text()
    assert written.startswith("# Mine\n")
    assert (written.count("kept"), written.count("old\n")) == (len(SECTIONS), 0)
    assert "| 76,470,531 |" in written
    with Image.open(tmp_path / PICTURE) as drawn, Image.open(PAGE.with_name(PICTURE)) as committed:
        assert drawn.size == committed.size


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"# Mine\n<!-- drawing -->\n<!-- /drawing -->\n<!-- kinds -->\n", "'<!-- kinds -->' … '<!-- /kinds -->'"),
    ],
)
def test_a_page_that_cannot_take_it_is_one_line(tmp_path, content, said):
    page = tmp_path / "page.md"
    if content is not None:
        page.write_bytes(content)
    done = bench("anatomy", "--walk", page)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert page.name in done.stderr
    assert content is None or page.read_bytes() == content
