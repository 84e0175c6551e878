"""What commands say when they are stopped, hushed, or given paths and names as users type them; in every encoding."""

import io
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from rich.console import Console

from lymphofeat import cli
from lymphofeat.commands.common import COHORT_VARIABLE
from lymphofeat.commands.paths import GivenPath, GivenText, NewFile, NewFolder, OutFolder, StudyName
from lymphofeat.final.submission_log import read_log
from lymphofeat.report.printing import PlainTable, show, terminal
from lymphofeat.report.progress import Lines
from lymphofeat.report.streams import Stream, speak_any_encoding

from .helpers.commands import Ran, Run, runner
from .helpers.compared import compared_cache
from .helpers.elsewhere import plain_table, simulated, write_stamp
from .helpers.tiny import edit_row, tiny_cohort

EXTRACT = ("extract", "--frozen", "--weights", "none", "--seed", "0", "--crop", "64", "--folds", "3")
GOES_ON = "\nInterrupted; the same command continues from here.\n"
BEGINS_ANEW = "\nInterrupted; no file is half-written. Run the command again.\n"
RESUMING = {"extract", "tune", "compare", "evaluate"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    return runner(monkeypatch, capsys)


def needed(name: str) -> list[str]:
    """The arguments that a command cannot do without."""
    return {
        "simulate": ["new"], "explain": ["P1"], "export": ["m"], "predict": ["m", "new"], "import": ["features"],
        "init": ["data"], "pack": ["--out", "packed.h5"],
    }.get(name, [])  # fmt: skip


def stopped(error: BaseException, run: Run, *arguments: str) -> Ran:
    """A command whose work ends with `error`."""

    class Ending:
        def __enter__(self) -> None:
            raise error

        def __exit__(self, *_: object) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lymphofeat.commands.common.Output.at_work", lambda _: Ending())
        return run(*arguments)


@pytest.mark.parametrize("name", sorted(cli.commands.commands))
def test_every_command_promises_what_it_keeps(run: Run, name: str) -> None:
    """Which commands go on is what `test_the_promises_are_kept` tries; here nobody promises more."""
    interrupted = stopped(KeyboardInterrupt(), run, name, *needed(name))
    assert interrupted == Ran(1, "", GOES_ON if name in RESUMING else BEGINS_ANEW)
    full = stopped(OSError(28, "No space left on device", "there/x"), run, name, *needed(name))
    assert full.code == 2
    assert full.err.startswith("Error: [Errno 28] No space left on device: 'there/x'")
    assert ("finished work is kept" in full.err) == (name in RESUMING)
    assert "nothing is lost" not in full.err


def test_force_begins_anew_and_says_so(run: Run) -> None:
    assert (
        stopped(KeyboardInterrupt(), run, "extract", "--force").err
        == "\nInterrupted; run the command again.\n"
    )


def interrupted(run: Run, *arguments: str) -> Ran:
    """A run that is interrupted at its second sign of progress, or at its only one."""
    signs, last = [], 1 if arguments[0] in ("export", "submit") else 2

    def sign(*_: object) -> None:
        signs.append(None)
        if len(signs) == last:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        for name in ("start", "advance", "note"):
            patch.setattr(Lines, name, sign)
        return run(*arguments)


def visible(folder: Path) -> set[str]:
    return {
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    }


def keeps_its_promise(run: Run, folder: Path, *command: str) -> None:
    """Interrupted at work, then given again: what says that it goes on does, what does not has left nothing."""
    before = visible(folder)
    stop = interrupted(run, *command)
    assert stop == Ran(1, stop.out, GOES_ON if command[0] in RESUMING else BEGINS_ANEW), command
    if command[0] not in RESUMING:
        assert visible(folder) == before
    again = run(*command)
    assert again.code == 0, (command, again.err)


def test_the_promises_are_kept(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=12)
    keeps_its_promise(run, tmp_path, "check")
    keeps_its_promise(run, tmp_path, "simulate", "simulated", "--patients", "8", "--images", "1", "2")
    keeps_its_promise(run, tmp_path, *EXTRACT)
    keeps_its_promise(run, tmp_path, "tune", "--heads", "logistic", "--inputs", "image", "--trials", "3")
    keeps_its_promise(run, tmp_path, "export", "model")
    clinical = ("--clinical", "data/testset/testset_data.csv")
    keeps_its_promise(run, tmp_path, "predict", "model", "data/testset", *clinical)
    keeps_its_promise(run, tmp_path, "submit")
    given = simulated()
    write_stamp(tmp_path / "features", given, unit="patient")
    patients = plain_table(tmp_path / "patients.csv", given)
    keeps_its_promise(run, tmp_path, "import", "features", "--patients", str(patients), "--cache", "i.h5")


@pytest.mark.slow
def test_the_promises_of_long_work_are_kept(run: Run, tmp_path: Path) -> None:
    compared_cache(tmp_path / "c.h5", n_folds=3)
    search = ("--encoding", "good", "--heads", "logistic", "--trials", "2")
    keeps_its_promise(run, tmp_path, "evaluate", "--cache", "c.h5", *search)
    keeps_its_promise(run, tmp_path, "compare", "c.h5", "--pipelines", "good")


def test_quiet_says_what_is_wrong_and_nothing_else(run: Run, tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "data", n=12)
    edit_row(root, "P4", "DOB", "2/30/1950")
    edit_row(root, "P3", "LYMPH_COUNT", "0")
    hushed = run("check", "-q")
    assert (hushed.code, hushed.out) == (2, "")
    first, *rest = hushed.err.splitlines()
    assert all(line.startswith("Error: ") for line in rest)
    assert first.startswith(
        "Error: trainset/trainset_true.csv, row 6: date of birth: there is no day '2/30/1950'"
    )
    assert run("tune", "-q").err.startswith("Error: cache/features.h5: no such cache")


def paths_of(kind: type) -> list[Any]:
    """(command, option or position, arguments in front of it) of every parameter of that kind."""
    found = []
    for name, command in sorted(cli.commands.commands.items()):
        for param in command.params:
            if isinstance(param.type, kind):
                option = param.opts[0] if isinstance(param, click.Option) else ""
                place = (
                    [p for p in command.params if isinstance(p, click.Argument)].index(param)
                    if not option
                    else 0
                )
                found.append(pytest.param(name, option, place, id=f"{name}-{param.name}"))
    return found


def with_path(run: Run, name: str, option: str, place: int, value: str) -> Ran:
    arguments = needed(name)
    if option:
        return run(name, *arguments, option, value)
    return run(name, *arguments[:place], value, *arguments[place + 1 :])


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize(("name", "option", "place"), [*paths_of(GivenPath), *paths_of(GivenText)])
def test_nothing_is_no_path(run: Run, tmp_path: Path, name: str, option: str, place: int, value: str) -> None:
    ran = with_path(run, name, option, place, value)
    assert (ran.code, ran.out) == (2, "")
    assert "empty" in ran.err
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("value", [".", "..", "there", "there/", "/", "~"])
@pytest.mark.parametrize(("name", "option", "place"), paths_of(NewFile))
def test_a_folder_is_no_file_to_write(
    run: Run, tmp_path: Path, name: str, option: str, place: int, value: str
) -> None:
    (tmp_path / "there").mkdir()
    ran = with_path(run, name, option, place, value)
    assert (ran.code, ran.out) == (2, "")
    assert f"{value} is a folder; name the file to write in it" in ran.err
    assert visible(tmp_path) == {"there"}


@pytest.mark.parametrize("value", [".", "..", "./", "/", "file"])
@pytest.mark.parametrize(("name", "option", "place"), paths_of(NewFolder))
def test_a_folder_to_make_is_not_there(
    run: Run, tmp_path: Path, name: str, option: str, place: int, value: str
) -> None:
    (tmp_path / "file").write_text("x")
    ran = with_path(run, name, option, place, value)
    assert (ran.code, ran.out) == (2, "")
    assert "is there already; name the folder to make" in ran.err or "is a file; name a folder" in ran.err
    assert visible(tmp_path) == {"file"}


@pytest.mark.parametrize(("name", "option", "place"), paths_of(OutFolder))
def test_a_file_is_no_folder(run: Run, tmp_path: Path, name: str, option: str, place: int) -> None:
    (tmp_path / "file").write_text("x")
    ran = with_path(run, name, option, place, "file")
    assert (ran.code, ran.out) == (2, "")
    assert "file is a file; name a folder." in ran.err


@pytest.mark.parametrize("value", [".", "..", "a/", "/", ".db", "studies/.db"])
@pytest.mark.parametrize(("name", "option", "place"), paths_of(StudyName))
def test_a_study_has_a_name(run: Run, tmp_path: Path, name: str, option: str, place: int, value: str) -> None:
    ran = with_path(run, name, option, place, value)
    assert (ran.code, ran.out) == (2, "")
    assert "names no study" in ran.err
    assert visible(tmp_path) == set()


def test_the_home_folder_and_a_file_for_a_cohort(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert f"{tmp_path}/home/c.h5: no such cache" in run("info", "~/c.h5").err
    assert f"There is no study {tmp_path}/home/s.db" in run("submit", "--study", "~/s.db").err
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert "t.csv is a CSV table, but a cohort is a folder; name that folder." in run("check", "t.csv").err
    (tmp_path / "folder").mkdir()
    assert (
        "folder is a folder, not a cache; a cache in it would be features.h5"
        in run("tune", "--cache", "folder").err
    )
    assert run("tune", "--cache", "folder").code == 2
    assert "It holds nothing" in run("info", "folder").out
    tiny_cohort(tmp_path / "data", n=12)
    refused = run(*EXTRACT, "--cache", "folder")
    assert refused.code == 2
    assert "folder is a folder" in refused.err
    assert list((tmp_path / "folder").iterdir()) == []


ODD = "[bold]d[1][/red]:smile: ü"  # in the folder "[bold]d[1]["


def typed(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all output of a command whose streams have an encoding."""
    out = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, io.TextIOWrapper(out, encoding=encoding, write_through=True))
        patch.setattr(sys, "argv", ["lymphofeat", *arguments])
        patch.setenv("COLUMNS", "500")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()  # type: ignore[attr-defined]
    return int(ended.value.code or 0), out.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "encoding",
    ["ascii", pytest.param("cp1252", marks=pytest.mark.slow), pytest.param("utf-8", marks=pytest.mark.slow)],
)
def test_every_command_in_every_encoding_with_names_that_look_like_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COHORT_VARIABLE, raising=False)
    tiny_cohort(tmp_path / ODD, n=12)
    for old in (tmp_path / ODD).glob("*set/P1"):
        old.rename(old.with_name("P[red]1[b]"))
    for table in (tmp_path / ODD).rglob("*.csv"):
        table.write_text(table.read_text().replace("P1,", "P[red]1[b],"))
    shown = ODD.encode(encoding, "backslashreplace").decode(encoding)
    cache, study = f"{ODD}.h5", f"{ODD}.db"
    files = ("--cache", cache, "--study", study)
    heads = ("--heads", "logistic", "--inputs", "both")
    commands = [
        (("check", ODD), shown),
        (("simulate", f"{ODD}.new", "--patients", "8", "--images", "1", "2"), f"{shown}.new"),
        (("heads",), "logistic"),
        (("recipes",), "pooled"),
        ((*EXTRACT[:1], ODD, *EXTRACT[1:], "--cache", cache), f"{shown}.h5"),
        (("info", cache), f"{shown}.h5"),
        (("tune", *files, *heads, "--trials", "2"), f"{shown}.db"),
        (("info", study), f"{shown}.db"),
        (("explain", "P[red]1[b]", *files, "--out", f"{ODD}.csv"), "Patient P[red]1[b]"),
        (("submit", *files, "--out", f"{ODD}.out.csv", "--probabilities"), f"{shown}.out.csv"),
        (("export", f"{ODD}.model", *files), f"{shown}.model"),
        (
            ("predict", f"{ODD}.model", f"{ODD}/testset", "--out", f"{ODD}.p.csv",
             "--clinical", f"{ODD}/testset/testset_data.csv"),
            f"{shown}.p.csv",
        ),
        (("submit", *files, "--out", f"{ODD}.out.csv"), f"{shown}.out.csv exists already"),
    ]  # fmt: skip
    for arguments, expected in commands:
        code, said = typed(monkeypatch, encoding, *arguments)
        assert code == (2 if "exists" in expected else 0), (arguments, said)
        assert expected in said, (arguments, said)
    assert len(read_log(Path(study).with_name("submissions.csv"))) == 1
    assert (tmp_path / f"{ODD}.out.csv").exists()


def test_markup_is_text_whatever_the_console(tmp_path: Path) -> None:
    odd = r"[bold]a[/bold] [1] [/x] :smile: \[ \\[red] ["
    for console in (Console(file=io.StringIO(), width=200), terminal(io.StringIO())):
        table = PlainTable(title="What")
        table.add_column(odd)
        table.add_row(odd)
        show(console, odd, (odd, "bold"))
        show(console, table)
        show(console)
        written = console.file.getvalue()  # type: ignore[attr-defined]
        assert written.replace("\n", "").count(odd) == 4


def test_signs_that_an_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    speak_any_encoding()
    print("≥ −0.5 (0.1–0.2) Größe \udce4 日")
    assert out.getvalue().decode() == "≥ −0.5".replace("≥", ">=").replace("−", "-") + (
        " (0.1-0.2) Gr\\xf6\\xdfe \\xe4 \\u65e5\n"
    )


class Broken(io.StringIO):
    """A stream whose reader is gone, or whose disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def test_a_reader_that_leaves_ends_no_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lymphofeat simulate d | true`; and a full disk under `> file` is said after the work."""
    for number, (error, code) in enumerate(
        ((BrokenPipeError(32, "Broken pipe"), 0), (OSError(28, "No space left on device"), 2))
    ):
        stream = Stream(Broken(error))
        assert not stream.isatty()
        monkeypatch.setattr("lymphofeat.commands.common.Stream", lambda _, stream=stream: stream)
        ran = run("simulate", f"d{number}", "--patients", "6", "--images", "1", "1")
        assert ran.code == code
        assert (tmp_path / f"d{number}").is_dir()
        assert ("The command is done, but its report could not be written" in ran.err) == (code == 2)
