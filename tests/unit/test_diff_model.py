"""Reading unified diffs, from a real git and from someone who means harm."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octopoid_tui.widgets.diff_model import DiffModel, parse_diff


@pytest.fixture
def git_diff(tmp_path: Path) -> DiffModel:
    """The diff of a real repository with one change of each kind."""
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "changed.py").write_text("".join(f"line {n}\n" for n in range(40)))
    (tmp_path / "sp ace ä.txt").write_text("hi\n")
    (tmp_path / "gone.txt").write_text("-- not a header\n")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "script").write_text("run\n")
    (tmp_path / "before.txt").write_text("".join(f"{n}\n" for n in range(60)))
    git("add", "-A")
    git("commit", "-qm", "one")
    (tmp_path / "changed.py").write_text("".join(f"line {n}{'!' * (n in (3, 30))}\n" for n in range(40)))
    (tmp_path / "sp ace ä.txt").write_text("hi\nthere\n")
    (tmp_path / "gone.txt").unlink()
    (tmp_path / "data.bin").write_bytes(bytes(reversed(range(256))))
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "before.txt").rename(tmp_path / "after.txt")
    with (tmp_path / "after.txt").open("a") as file:
        file.write("more")
    (tmp_path / "link").symlink_to("/etc/passwd")
    git("add", "-A")
    return parse_diff(git("diff", "--cached", "-M"))


def test_every_kind_of_change_of_a_real_git_is_understood(git_diff: DiffModel) -> None:
    found = {
        file.path: (file.status, file.added, file.removed, file.binary, file.renamed_from, len(file.hunks))
        for file in git_diff.files
    }
    assert found == {
        "changed.py": ("modified", 2, 2, False, None, 2),
        "sp ace ä.txt": ("modified", 1, 0, False, None, 1),
        "gone.txt": ("deleted", 0, 1, False, None, 1),
        "data.bin": ("modified", 0, 0, True, None, 0),
        "script": ("modified", 0, 0, False, None, 0),
        "after.txt": ("renamed", 1, 0, False, "before.txt", 1),
        "link": ("added", 1, 0, False, None, 1),
    }
    notes = [line.text for line in git_diff.lines if line.kind == "note"]
    assert "new mode 100755 (executable)" in notes
    assert "new file with mode 120000 (symbolic link)" in notes
    assert "No newline at end of file" in notes


def test_lines_carry_the_numbers_of_both_sides(git_diff: DiffModel) -> None:
    file = next(file for file in git_diff.files if file.path == "changed.py")
    second = file.hunks[1]
    changed = [line for line in git_diff.lines[second.line : second.end] if line.kind != "context"]
    assert [(line.kind, line.text, line.old, line.new) for line in changed[1:]] == [
        ("removed", "line 30", 31, None),
        ("added", "line 30!", None, 31),
    ]
    assert file.hunk_at(second.line) == 1
    assert file.hunk_at(second.end - 1) == 1
    assert file.hunk_at(file.line) is None


def test_content_that_looks_like_a_header_stays_content() -> None:
    """A removed line "-- a" reads "--- a", and could hide what follows as another file."""
    model = parse_diff(
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,2 @@\n"
        "--- a/y\n+++ b/y\n-@@ -1 +1 @@\n-diff --git a/z b/z\n+end\n"
    )
    assert [file.path for file in model.files] == ["x"]
    assert (model.files[0].added, model.files[0].removed) == (2, 3)


def test_a_quoted_name_is_read() -> None:
    model = parse_diff('diff --git "a/t\\303\\244b\\t.txt" "b/t\\303\\244b\\t.txt"\nnew file mode 100644\n')
    assert model.files[0].path == "täb\t.txt"
    assert model.files[0].status == "added"


def test_a_diff_without_git_headers_is_read() -> None:
    model = parse_diff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n--- a/y\n+++ b/y\n@@ -0,0 +1 @@\n+c\n")
    assert [(file.path, file.added, file.removed) for file in model.files] == [("x", 1, 1), ("y", 1, 0)]


def test_nothing_is_an_empty_diff() -> None:
    assert parse_diff("") == DiffModel()


LINES = st.sampled_from(
    [
        "diff --git a/x b/x",
        "--- a/x",
        "+++ b/x",
        "@@ -1,2 +1,3 @@ f",
        "@@ -999999999 +1,0 @@",
        "+a",
        "-b",
        " c",
        "",
        "\\ No",
        'rename from "a\\',
        "new mode 1",
        "Binary files",
        "GIT binary patch",
        "diff --cc x",
        'diff --git "',
        "@@@ -1 -1 +1 @@@",
    ]
)


@given(st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=40).map("\n".join))
def test_no_text_breaks_the_parser_and_the_pieces_fit_together(text: str) -> None:
    model = parse_diff(text)
    starts = [file.line for file in model.files]
    assert [file.end for file in model.files] == [*starts, len(model.lines)][1:]
    for file in model.files:
        assert model.lines[file.line].kind == "file"
        body = model.lines[file.line : file.end]
        assert file.added == sum(line.kind == "added" for line in body)
        assert file.removed == sum(line.kind == "removed" for line in body)
        for hunk in file.hunks:
            assert file.line < hunk.line < hunk.end <= file.end
            assert model.lines[hunk.line].kind == "hunk"
