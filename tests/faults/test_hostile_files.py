"""Damaged and hostile archives, attributes and names of a data set: refused in one clean line that names the file."""

import io
import tarfile
import unicodedata
import zipfile

import pytest

from bench.data import cartoonset
from bench.data import files as data_files
from bench.data.library import cache_path, read
from bench.data.tools import verify
from bench.errors import BadInput
from tests.faults.spoilt import (  # noqa: F401 - folder is a fixture
    WHOLE,
    assert_listed_refused_and_skipped,
    assert_refused,
    folder,
    picture,
    request,
    rows,
)

# --- case 17: archives ---


def archive(path, *files):
    """A .tgz of (name, content), or of ready TarInfo."""
    with tarfile.open(path, "w:gz") as tar:
        for file in files:
            member, content = (file, b"") if isinstance(file, tarfile.TarInfo) else (tarfile.TarInfo(file[0]), file[1])
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def claimed(name, kind, size):
    """A bare header, whatever it claims."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.csv", "..", "/etc/passwd"])
def test_fault_17_archives_that_point_outside_are_refused(name, tmp_path):
    assert_refused(archive(tmp_path / "set.tgz", (name, b"")), "outside")


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE"])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "cs0.png"])
def test_fault_17_archives_with_links_or_devices_are_refused(kind, target, tmp_path):
    member = tarfile.TarInfo("cs1.png")
    member.type, member.linkname = getattr(tarfile, kind), target
    assert_refused(archive(tmp_path / "set.tgz", member), "link or device")


def test_fault_17_too_many_members_are_refused_and_folders_count(tmp_path, monkeypatch):
    monkeypatch.setattr(data_files, "MOST_MEMBERS", 8)
    files = [(f"cs{number}.csv", rows(number).encode()) for number in range(8)]
    assert_refused(archive(tmp_path / "few.tgz", *files), "holds no PNG")
    assert_refused(archive(tmp_path / "many.tgz", *files, ("one.csv", b"")), "one too many")
    folders = [tarfile.TarInfo(f"folder{number}") for number in range(9)]
    for member in folders:
        member.type = tarfile.DIRTYPE
    assert_refused(archive(tmp_path / "folders.tgz", *folders), "one too many")
    assert data_files.MOST_MEMBERS < 10**6


def test_fault_17_archives_that_swell_are_refused(tmp_path, monkeypatch):
    assert_refused(archive(tmp_path / "one.tgz", ("cs1.png", bytes(data_files.LARGEST_MEMBER + 1))), "too large")
    monkeypatch.setattr(data_files, "LARGEST_ARCHIVE", 10_000)
    assert_refused(archive(tmp_path / "all.tgz", *((f"notes{i}.txt", bytes(3000)) for i in range(4))), "too large")


@pytest.mark.parametrize(("kind", "size"), [("GNUTYPE_LONGNAME", 2**40), ("XHDTYPE", 2**40), ("REGTYPE", -(2**40))])
def test_fault_17_a_header_that_claims_gigabytes_or_less_than_nothing_is_refused(kind, size, tmp_path):
    path = tmp_path / "set.tar"
    path.write_bytes(claimed("cs1.png", getattr(tarfile, kind), size) + bytes(2048))
    assert_refused(path, "is too large")


def test_fault_17_headers_without_end_and_names_without_end_are_refused(tmp_path):
    (tmp_path / "headers.tar").write_bytes(claimed("a", tarfile.XHDTYPE, 0) * 5000)
    assert_refused(tmp_path / "headers.tar", "cannot be read as an archive")
    assert_refused(archive(tmp_path / "name.tgz", ("n" * 5000 + ".png", b"")), "name longer than 1024")


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
@pytest.mark.parametrize("suffix", ["tgz", "tar"])
def test_fault_17_cut_archives_and_other_formats_are_refused(suffix, share, folder, tmp_path):
    path = tmp_path / f"set.{suffix}"
    with tarfile.open(path, "w:gz" if suffix == "tgz" else "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(folder, "set")
    content = path.read_bytes().rstrip(b"\0") if suffix == "tar" else path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert_refused(path, "download it again|beside it")
    with zipfile.ZipFile(tmp_path / "zip.tgz", "w") as other:
        other.writestr("../evil.png", b"")
    assert_refused(tmp_path / "zip.tgz", "cannot be read as an archive")


# --- case 22: attributes ---


def row(line, text):
    lines = rows(3).splitlines()
    lines[line - 1 : line] = [text] if isinstance(text, str) else text
    return "\n".join(lines) + "\n"


ATTRIBUTES = {
    "unknown attribute": (row(1, '"tops", 1, 34'), "line 1: tops is unknown, the other files have top, hairColor, gl"),
    "one attribute more": (row(3, ['"glasses", 0, 2', '"hat", 0, 2']), "line 4: hat is unknown, the other files have"),
    "missing attribute": (row(2, []), "lacks hairColor, as in the other files"),
    "other order": ("".join(reversed(rows(3).splitlines(True))), "line 1: glasses stands where top does in the other"),
    "other cardinality": (row(1, '"top", 1, 99'), "line 1: top has cardinality 99, in the other files 34"),
    "beyond its cardinality": (row(1, '"top", 34, 34'), "line 1: top is 34, allowed are 0 to 33"),
    "negative": (row(1, '"top", -1, 34'), "line 1: top is -1, allowed are 0 to 33"),
    "float": (row(2, '"hairColor", 1.5, 11'), "line 2: hairColor has index '1.5' of '11', not integers"),
    "NaN": (row(2, '"hairColor", NaN, 11'), "line 2: hairColor has index 'NaN' of '11', not integers"),
    "infinity": (row(2, '"hairColor", inf, 11'), "line 2: hairColor has index 'inf' of '11', not integers"),
    "no number": (row(2, '"hairColor", , 11'), "line 2: hairColor has index '' of '11', not integers"),
    "digits grouped": (row(1, '"top", 1_0, 34'), "line 1: top has index '1_0' of '34', not integers"),
    "endless number": (row(1, f'"top", 1, {"9" * 5000}'), "line 1: top has index '1' of '999"),
    "cardinality of memory": (row(1, '"top", 1, 9999999999'), "line 1: top makes 9999999999 variants, at most are 10"),
    "no cardinality": (row(1, '"top", 0, 0'), "line 1: top has cardinality 0, allowed are 1 and more"),
    "too few cells": (row(2, '"hairColor", 1'), 'line 2: expected "name", index, cardinality but found'),
    "no name": (row(2, '"", 1, 11'), "line 2: an attribute without a name"),
    "duplicated row": (row(2, '"top", 3, 34'), "line 2: top stands twice"),
    "empty": ("", "holds no attribute"),
    "blank": ("\n\n", "holds no attribute"),
    "no text": (b"\xff\xfe\x00", "can't decode byte 0xff"),
    "a terminal's commands": (row(1, '"\x1b[2Jtop", 1, 34'), r"line 1: \x1b[2Jtop is unknown"),
    "attributes without end": (
        "".join(f'"a{i}", 0, 10\n' for i in range(2000)),
        "line 1001: a1000 makes 10010 variants",
    ),
}


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_fault_22_wrong_attributes_name_file_line_and_what_is_allowed(kind, folder):
    content, words = ATTRIBUTES[kind]
    (folder / "cs3.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = verify(folder)[0][0]
    assert found.startswith("cs3.csv")
    assert_listed_refused_and_skipped(folder, words)


def test_fault_22_images_without_csv_and_csvs_without_image_are_listed(folder):
    (folder / "cs3.csv").rename(folder / "kept")
    assert_listed_refused_and_skipped(folder, "cs3.png: has no cs3.csv beside it")
    (folder / "kept").rename(folder / "cs3.csv")
    (folder / "cs3.png").unlink()
    assert_listed_refused_and_skipped(folder, "cs3.csv: has no cs3.png beside it")


def test_fault_22_of_two_equally_frequent_shapes_the_first_is_the_usual_one(tmp_path):
    """Not the one that a hash, which differs from process to process, puts first."""
    for number in range(4):
        (tmp_path / f"cs{number}.png").write_bytes(picture(number))
        (tmp_path / f"cs{number}.csv").write_text(f'"top", 0, {5 if number < 2 else 6}\n')
    assert verify(tmp_path)[0] == [f"cs{n}.csv line 1: top has cardinality 6, in the other files 5" for n in (2, 3)]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "{}",
        '[{"name": "top"}]',
        '[{"name": "top", "variants": [1, 2], "hidden": null}]',
        '[{"name": "top", "variants": ["a", "a"], "hidden": null}]',
        '[{"name": "top", "variants": ["a", "b"], "hidden": "c"}]',
        '[{"name": "top", "variants": 7, "hidden": null}]',
    ],
)
def test_fault_22_a_damaged_file_of_names_is_refused(content, folder):
    (folder / cartoonset.SCHEMA_FILE).write_text(content)
    if content == "{}":  # no names at all: they do not fit, so the numbers are used
        assert read(request(folder)).schema.attributes[2].variants == ("0", "1")
    else:
        assert_refused(folder, "schema.json cannot be read .*: delete it")


# --- case 23: names ---

STEMS = ["cs1", "CS1", unicodedata.normalize("NFC", "csé"), unicodedata.normalize("NFD", "csé"), "c" * 240]


def test_fault_23_names_of_every_kind_stay_apart_in_a_folder(tmp_path):
    """Case, Unicode form and length make different files, or the file system refuses them itself."""
    path = tmp_path / "names"
    path.mkdir()
    for number, stem in enumerate(STEMS):
        (path / f"{stem}.png").write_bytes(picture(number))
        (path / f"{stem}.csv").write_text(rows(number))
    assert len(read(request(path))) == len(list(path.glob("*.png")))


def test_fault_23_names_of_every_kind_stay_apart_in_an_archive(tmp_path):
    stems = [*STEMS, "c" * 300, "a/" * 100 + "cs1"]
    files = [(f"{stem}.png", picture(number)) for number, stem in enumerate(stems)]
    files += [(f"{stem}.csv", rows(number).encode()) for number, stem in enumerate(stems)]
    found = read(request(archive(tmp_path / "set.tgz", *files)))
    assert sorted(found.codes[:, 0].tolist()) == list(range(len(stems)))


def test_fault_23_a_picture_and_a_csv_of_other_unicode_forms_are_no_pair(tmp_path):
    files = [("csé.png", picture(0)), ("csé.csv", rows(0).encode())]
    forms = [(unicodedata.normalize(form, name), x) for form, (name, x) in zip(("NFC", "NFD"), files, strict=True)]
    assert_refused(archive(tmp_path / "set.tgz", *forms), "has no csé.csv beside it")


def test_fault_23_two_files_of_one_name_in_an_archive_are_refused(tmp_path):
    files = [(f"cs{n}.{suffix}", x) for n in range(3) for suffix, x in (("png", picture(n)), ("csv", rows(n).encode()))]
    assert_refused(archive(tmp_path / "set.tgz", *files, ("./cs1.png", picture(7))), "cs1.png: stands twice")


def test_a_suffix_in_capitals_is_no_other_file(folder):
    before = read(request(folder))
    (folder / "cs3.png").rename(folder / "cs3.PNG")
    (folder / "cs2.csv").rename(folder / "cs2.CSV")
    after = read(request(folder))
    assert (after.images == before.images).all()
    assert (after.codes == before.codes).all()
    (folder / "cs3.png").write_bytes(WHOLE)
    assert_listed_refused_and_skipped(folder, "stands twice")
    (folder / "cs3.png").unlink()
    (folder / "cs3.csv").rename(folder / "kept")
    assert_listed_refused_and_skipped(folder, "cs3.PNG: has no cs3.csv beside it")


def test_fault_23_names_that_break_lines_or_are_no_text_are_shown_escaped(folder, capsys):
    (folder / "evil\n\x1b[2J.png").write_bytes(b"hello")
    (folder / "no\udcfftext.png").write_bytes(b"hello")  # the byte 0xff on disk
    problems, _ = verify(folder)
    assert problems == [r"evil\n\x1b[2J.png: is not a PNG", r"no\udcfftext.png: is not a PNG"]
    for problem in problems:
        print(problem)
    assert len(cache_path(request(folder), folder).name) < 50
    assert_refused(folder, "is not a PNG")


@pytest.mark.parametrize("name", ["s" * 300, "s" * 300 + ".tgz", "s" * 5000, "nul\0.tgz"])
def test_fault_23_a_data_set_whose_own_name_cannot_be_is_refused(name, tmp_path):
    for use in (read, lambda wanted: cache_path(wanted, tmp_path)):
        with pytest.raises(BadInput, match="does not exist"):
            use(request(tmp_path / name))
