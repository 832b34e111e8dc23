"""The report in a real browser, opened from disk: every control by mouse and keyboard, every width, both schemes."""

import json

import pytest

from bench.commands.cli import main
from tests.browser import browser, listen  # noqa: F401 - a fixture
from tests.drawn import SCALES, change, copy_results, records

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
HOSTILE = "</script><script>console.log('hacked')</script><img src=x onerror=console.log('hacked')>"
CONTRAST = """() => {
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 :
    ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = colour(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => [light(colour(getComputedStyle(e).color)), light(behind(e)), e.outerHTML.slice(0, 80)])
    .map(([a, b, html]) => [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), html])
    .filter(([ratio]) => ratio < 4.5);
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, summary, .controls label, nav a, input[type=range]")]
  .filter((e) => e.checkVisibility()).map((e) => [e.getBoundingClientRect().height, e.outerHTML.slice(0, 60)])
  .filter(([height]) => height < 24)"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = copy_results(tmp_path_factory.mktemp("results") / "laptop")
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").as_uri()


@pytest.fixture
def opened(browser, address):  # noqa: F811
    """Opens the page as asked; whatever it says, throws or fetches fails the test in the end."""
    contexts, heard = [], []

    def visit(to=address, viewport=DESK, **options):
        contexts.append(browser.new_context(viewport=viewport, offline=True, **options))
        contexts[-1].set_default_timeout(120_000)  # ms: a busy machine is no fault
        page = contexts[-1].new_page()
        heard.append(listen(page))
        page.goto(to)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert sum(heard, []) == []


def focused(page):
    return page.evaluate("document.activeElement.outerHTML.slice(0, 120)")


def column(page, name):
    """The texts of a column of the table of runs."""
    index = page.locator(".runs thead th", has_text=name).first.get_attribute("data-column")
    return page.locator(f'.runs tbody [data-column="{index}"]').all_inner_texts()


def test_every_picture_is_there_and_has_words(opened):
    page = opened()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert page.locator("img").count() > 40
    assert page.evaluate("[...document.images].filter((i) => !i.naturalWidth || !i.alt.trim()).length") == 0


def test_the_slider_switches_the_strips_of_all_contestants_by_mouse_and_keyboard(opened):
    page = opened()
    slider, strips = page.get_by_role("slider", name="Guidance scale"), page.locator(".sweep figure:visible img")

    def shown():
        assert page.locator(".sweep output").inner_text() == slider.get_attribute("aria-valuetext").split()[1]
        return [alt.rsplit(" ", 1)[1] for alt in (image.get_attribute("alt") for image in strips.all())]

    assert shown() == ["1", "1"]  # the guidance of the recipe
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert shown() == ["2", "2"]
    page.keyboard.press("End")
    assert shown() == ["9", "9"]
    last = strips.first.get_attribute("src")
    page.keyboard.press("Home")
    assert shown() == ["0", "0"]
    assert strips.first.get_attribute("src") != last
    slider.click()  # in its middle
    assert shown() == [SCALES[3]] * 2


def test_the_table_of_runs_sorts_both_ways_by_number(opened):
    page = opened()
    page.get_by_role("button", name="epoch", exact=False).filter(has_text="seconds").click()
    up = [float(text) for text in column(page, "epoch")]
    assert up == sorted(up)
    header = page.locator(".runs th[aria-sort]")
    assert (header.count(), header.get_attribute("aria-sort")) == (1, "ascending")
    page.keyboard.press("Enter")  # the button has the focus
    assert [float(text) for text in column(page, "epoch")] == up[::-1] != up
    assert header.get_attribute("aria-sort") == "descending"
    assert page.locator("[role=status]").text_content() == "sorted by epoch, descending"
    page.get_by_role("button", name="contestant").click()
    assert column(page, "contestant") == ["diffusers-32", "diffusers-32", "scratch", "scratch"]
    assert header.get_attribute("aria-sort") == "ascending"


def test_what_was_not_measured_comes_last_either_way(opened, tmp_path):
    folder = copy_results(tmp_path / "laptop")
    change(records(folder)[0], lambda fields: fields["measurements"].pop("sampling"))
    change(records(folder)[1], lambda fields: fields["measurements"]["sampling"].update(seconds=40_000.0))
    main(["report", str(folder)])
    page = opened((folder / "report.html").as_uri())
    header = page.get_by_role("button", name="sampling")
    for direction in ("ascending", "descending"):
        header.click()
        found = column(page, "sampling")
        assert found[-1] == "–"
        numbers = [float(text) for text in found[:-1]]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert max(numbers) > 10  # 19.531 comes after 0.065, and not before 2


def test_columns_hide_and_come_back(opened):
    page = opened()
    cells = page.locator(".comparison td", has_text="resnet blocks")
    assert cells.first.is_visible()
    box = page.get_by_role("group", name="Contestants").get_by_label("scratch")
    box.uncheck()
    assert not cells.first.is_visible()
    assert not page.locator(".comparison thead th", has_text="scratch").is_visible()
    box.check()
    assert cells.first.is_visible()
    recall = page.locator(".runs th", has_text="recall")
    page.get_by_text("Choose columns").click()
    page.get_by_role("group", name="Columns").get_by_label("recall").focus()
    page.keyboard.press("Space")
    assert not recall.is_visible()


def test_rows_open_by_their_heading_and_all_at_once(opened):
    page = opened()
    for first in ("number of parameters", "attribute accuracy, macro", "Fréchet distance (EfficientNet-Lite0)"):
        assert page.locator(".comparison th", has_text=first).first.is_visible()
    row = page.locator(".comparison th", has_text="forward GFLOP per image, full scale")
    assert not row.is_visible()
    heading = page.get_by_role("button", name="Arithmetic and speed")
    heading.focus()
    page.keyboard.press("Enter")
    assert row.is_visible()
    assert heading.get_attribute("aria-expanded") == "true"
    page.get_by_label("show all").check()
    assert page.locator(".comparison tbody tr:not(.group):visible").count() > 80
    page.get_by_label("explain").check()
    assert page.get_by_text("images of an epoch over its seconds").first.is_visible()


def test_a_record_is_one_click_away_and_can_be_kept(opened):
    page = opened()
    opener = page.get_by_role("button", name="record of diffusers-32, seed 1")
    opener.click()
    record = page.get_by_role("dialog")
    assert record.is_visible()
    assert "Close" in focused(page)
    shown = json.loads(record.locator("pre").inner_text())
    assert (shown["config"]["contestant"], shown["config"]["seed"]) == ("diffusers-32", 1)
    with page.expect_download() as kept:
        record.get_by_role("button", name="Download").click()
    assert kept.value.suggested_filename == "diffusers-32-matched-seed1.json"
    assert json.loads(kept.value.path().read_text()) == shown
    page.keyboard.press("Escape")
    assert not record.is_visible()
    assert "record of diffusers-32, seed 1" in focused(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_nothing_overflows_everything_can_be_read_and_pressed(scheme, viewport, opened):
    page = opened(viewport=viewport, color_scheme=scheme)
    page.get_by_label("show all").check()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(SMALL_TARGETS) == []
    scrolling = "[...document.querySelectorAll('.scroller')].filter((e) => e.scrollWidth > e.clientWidth + 1)"
    assert page.evaluate(f"{scrolling}.every((e) => e.tabIndex === 0 && e.ariaLabel && e.role === 'region')")
    if viewport is PHONE:
        assert page.evaluate(f"{scrolling}.length") > 10


def test_dark_mode_changes_the_colours_and_leaves_plots_on_white(opened):
    dark, light = opened(color_scheme="dark"), opened(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert dark.evaluate(ground) != light.evaluate(ground)
    for page in (dark, light):
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.paper')).backgroundColor") == "rgb(255, 255, 255)"
        )


def test_the_tabulator_key_goes_through_the_page_in_its_order(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert "Skip to the results" in focused(page)
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    positions = []
    page.keyboard.press("Tab")
    while not focused(page).startswith("<body"):
        outline, place = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineStyle, [...document.querySelectorAll('*')]"
            ".indexOf(document.activeElement)]"
        )
        assert outline == "solid", focused(page)
        positions.append(place)
        page.keyboard.press("Tab")
    assert positions == sorted(set(positions))
    assert len(positions) > 40


def test_motion_stops_on_a_button_and_does_not_start_where_it_is_not_wanted(opened):
    page = opened()
    image = page.locator("figure.animation img").first
    assert page.evaluate("(i) => i.currentSrc.slice(0, 14)", image.element_handle()) == "data:image/gif"
    page.get_by_role("button", name="Pause").first.click()
    page.wait_for_function("(i) => i.currentSrc.startsWith('data:image/png')", arg=image.element_handle())
    assert page.get_by_role("button", name="Play: From noise to avatars").count() == 1
    calm = opened(reduced_motion="reduce")
    sources = "[...document.querySelectorAll('figure.animation img')].map((i) => i.currentSrc.slice(0, 14))"
    assert set(calm.evaluate(sources)) == {"data:image/png"}
    calm.get_by_role("button", name="Play").first.click()
    calm.wait_for_function("document.querySelector('figure.animation img').currentSrc.startsWith('data:image/gif')")


def test_without_script_everything_is_shown(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".comparison tbody tr:visible").count() > 80
    assert page.locator(".sweep figure:visible").count() == 2 * len(SCALES)
    for control in (".slider", ".controls", ".fold", ".motion"):
        assert not page.locator(control).first.is_visible()
    page.get_by_role("button", name="record of scratch, seed 0").click()
    assert page.get_by_role("dialog").locator("pre").is_visible()


def test_paper_shows_every_row(opened):
    page = opened()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator(".comparison tbody tr:not(.group):visible").count() > 80
    assert not page.locator(".slider").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator(".comparison tbody tr:not(.group):visible").count() == 25
    assert page.pdf()[:4] == b"%PDF"


def test_a_hostile_name_runs_nothing(opened, tmp_path):
    folder = copy_results(tmp_path / "laptop")
    for path in records(folder):
        change(path, lambda fields: fields["config"].update(contestant=HOSTILE))
    main(["report", str(folder)])
    page = opened((folder / "report.html").as_uri())
    assert HOSTILE[:9] in page.locator(".comparison thead").inner_text()  # a long name is cut in the middle
    assert HOSTILE in page.content().replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    page.set_viewport_size(PHONE)  # nor does its length make the page any wider
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.get_by_role("button", name="record of").first.click()
    assert HOSTILE in json.loads(page.get_by_role("dialog").locator("pre").inner_text())["config"]["contestant"]
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<script>1</' + 'script>')")
    assert page.evaluate("document.scripts.length") == 2  # the page's own, and the one just put there, which never runs
