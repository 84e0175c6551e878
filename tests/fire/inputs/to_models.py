"""What the commands on studies and models may be given, and where they may be told to write."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from .malformed import DEEP, PICKLE, Malformed, text

_FILES = ("--cache", "c.h5", "--study", "s.db")
_TUNE = ("tune", *_FILES, "--trials", "4", "--heads", "logistic", "--inputs", "image")
_SUBMIT = ("submit", *_FILES)
_EXPORT = ("export", "m2", *_FILES)
_PREDICT = ("predict", "model", "data/testset")


def _nothing(_: Path) -> None: ...


def _database(folder: Path) -> None:
    (folder / "s.db").unlink()
    with closing(sqlite3.connect(folder / "s.db")) as database:
        database.execute("CREATE TABLE studies (x)")
        database.commit()


def _cut(name: str) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


STUDIES = [
    Malformed("study: none", ("submit", "--cache", "c.h5", "--study", "no"), _nothing, "There is no study"),
    Malformed("study: text", _TUNE, text("s.db", "trials"), "s.db"),
    Malformed("study: a picture", _SUBMIT, text("s.db", b"\xff\xd8\xff"), "s.db"),
    Malformed("study: another database", _TUNE, _database, "s.db"),
    Malformed("study: cut", _SUBMIT, _cut("s.db"), "s.db"),
    Malformed("study: a folder", ("tune", "--cache", "c.h5", "--study", "d.db"),
              lambda f: (f / "d.db").mkdir(), "d.db"),
    Malformed("study: of another cache", ("tune", "--cache", "other.h5", "--study", "s.db"), _nothing, "s.db"),
    Malformed("study: other settings", (*_TUNE, "--metric", "auc"), _nothing, "s.db"),
    Malformed("tune: no such head", (*_TUNE[:-4], "--heads", "logistik"), _nothing, "did you mean 'logistic'"),
    Malformed("tune: no such encoding", (*_TUNE, "--encoding", "resnet"), _nothing, "resnet"),
    Malformed("tune: weights that are words", (*_TUNE, "--class-weights", "one,two"), _nothing, "--class-weights"),
    Malformed("tune: negative weights", (*_TUNE, "--class-weights=-1,2"), _nothing, "-1"),
    Malformed("tune: weights without end", (*_TUNE, "--class-weights", "inf,1"), _nothing, "inf"),
    Malformed("tune: weights that are none", (*_TUNE, "--class-weights", "nan,1"), _nothing, "nan"),
    Malformed("tune: a table in a folder's place", (*_TUNE, "--trials-csv", "data"), _nothing, "data is a folder"),
    Malformed("tune: a table that is there", (*_TUNE, "--trials-csv", "patients.csv"), _nothing, "patients.csv exists"),
    Malformed("cache: of a study", ("tune", "--cache", "s.db", "--study", "t.db"), _nothing, "s.db"),
    Malformed("cache: of a folder", ("tune", "--cache", "data", "--study", "t.db"), _nothing, "data is a folder"),
    Malformed("cache: cut, to tune", _TUNE, _cut("c.h5"), "c.h5"),
    Malformed("evaluate: a page that is there", ("evaluate", *_FILES, "--out", "e"),
              text("e/evaluate.md", ""), "exists"),
    Malformed("evaluate: a file for a folder", ("evaluate", *_FILES, "--out", "s.db"), _nothing, "s.db is a file"),
    Malformed("evaluate: a ledger of words", ("evaluate", *_FILES, "--heads", "logistic", "--trials", "1"),
              text("s-nested/folds.jsonl", "words\n"), "folds.jsonl, line 1"),
]  # fmt: skip

_LOG = "submissions.csv"
_NOTE = f".{_LOG}.pending"
SUBMISSIONS = [
    Malformed("submit: a log of words", _SUBMIT, text(_LOG, "words\n"), f"{_LOG}, row 1"),
    Malformed("submit: a log of bytes", _SUBMIT, text(_LOG, b"\xff\x00"), _LOG),
    Malformed("submit: a note of words", _SUBMIT, text(_NOTE, "words"), _NOTE),
    Malformed("submit: a deep note", _SUBMIT, text(_NOTE, DEEP), _NOTE),
    Malformed("submit: a note of another kind", _SUBMIT, text(_NOTE, "[]"), _NOTE),
    Malformed("submit: no such trial", (*_SUBMIT, "--trial", "99"), _nothing, "99"),
    Malformed("submit: two choices", (*_SUBMIT, "--trial", "0", "--ensemble", "2"), _nothing, ""),
    Malformed("submit: a folder for a table", (*_SUBMIT, "--out", "data"), _nothing, "data is a folder"),
    Malformed("submit: a file for a folder", (*_SUBMIT, "--out", "s.db/x.csv"), _nothing, "s.db"),
    Malformed("explain: nobody", ("explain", "X1", *_FILES), _nothing, "X1"),
    Malformed("explain: a path", ("explain", "../../x", *_FILES), _nothing, "../../x"),
    Malformed("explain: no ID", ("explain", "", *_FILES), _nothing, "empty"),
]  # fmt: skip


def _evaluation(content: str | bytes, name: str) -> Malformed:
    return Malformed(
        f"export: an evaluation of {name}",
        (*_EXPORT, "--evaluation", "e.json"),
        text("e.json", content),
        "e.json",
    )


EXPORTS = [
    _evaluation("words", "words"),
    _evaluation(b"\xff\xfe", "bytes"),
    _evaluation(DEEP, "brackets"),
    _evaluation("[]", "nothing"),
    _evaluation(
        '{"tables": {"metrics": [{"metric": "auc", "value": "x", "low": 0, "high": 1}]}}', "words for numbers"
    ),
    _evaluation('{"tables": {"metrics": []}, "patients": 1e999}', "numbers without end"),
    Malformed("export: a folder that is there", ("export", "data", *_FILES), _nothing, "data"),
    Malformed("export: weights of another kind", (*_EXPORT, "--weights", "s.db"), _nothing, "s.db"),
    Malformed(
        "export: a target that is no number", (*_EXPORT, "--refer-error", "nan"), _nothing, "nan is no number"
    ),
]


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change a manifest and sign it anew, as somebody would who wants it to be believed."""

    def make(folder: Path) -> None:
        path = folder / "model/manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        rest = {key: value for key, value in manifest.items() if key != "digest"}
        manifest["digest"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
        path.write_text(json.dumps(manifest))

    return make


def _file(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Change a bundle's file and list it as it is now."""

    def make(folder: Path) -> None:
        path = folder / "model" / name
        content = change(path.read_bytes())
        path.write_bytes(content)
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        _manifest(lambda manifest: manifest["files"].update({name: entry}))(folder)

    return make


def _model(change: Callable[[Any], object]) -> Callable[[Path], object]:
    def changed(content: bytes) -> bytes:
        model = json.loads(content)
        change(model)
        return json.dumps(model).encode()

    return _file("model.json", changed)


def _other_class(content: bytes) -> bytes:
    """Calls for the class of all classes: `subprocess.Popen`."""
    return content.replace(b"lymphofeat.heads.linear.Logistic", b"subprocess.Popen")


def _bundle(name: str, make: Callable[[Path], object], said: str = "model") -> Malformed:
    return Malformed(f"bundle: {name}", _PREDICT, make, said)


BUNDLES = [
    _bundle("none", lambda f: shutil.rmtree(f / "model"), "model is not a bundle"),
    _bundle("a file", lambda f: (shutil.rmtree(f / "model"), text("model", "x")(f)), "model is not a bundle"),
    _bundle("a manifest of words", text("model/manifest.json", "words"), "manifest.json"),
    _bundle("a deep manifest", text("model/manifest.json", DEEP), "manifest.json"),
    _bundle("a manifest that is a list", text("model/manifest.json", "[]"), "manifest.json"),
    _bundle("a manifest of bytes", text("model/manifest.json", b"\xff\xfe\x00"), "manifest.json"),
    _bundle("changed", _manifest(lambda m: m.update(format="x"))),
    _bundle("of a later format", _manifest(lambda m: m.update(format=99)), "99"),
    _bundle(
        "a file outside",
        _manifest(lambda m: m["files"].update({"../../etc/passwd": {}})),
        "outside the bundle",
    ),
    _bundle(
        "an absolute file", _manifest(lambda m: m["files"].update({"/etc/passwd": {}})), "outside the bundle"
    ),
    _bundle("a file too many", text("model/extra.py", "x"), "extra.py"),
    _bundle("a file too few", lambda f: (f / "model/model.json").unlink(), "model.json"),
    _bundle("a file cut", _cut("model/model.json"), "model.json"),
    _bundle("a model of words", _file("model.json", lambda _: b"words"), "model.json"),
    _bundle("a deep model", _file("model.json", lambda _: DEEP.encode()), "model.json"),
    _bundle("a model that is a list", _file("model.json", lambda _: b"[]"), "model"),
    _bundle("a model without anything", _file("model.json", lambda _: b"{}"), "model"),
    _bundle("a model of other types", _model(lambda m: m.update(cut="high", members=3))),
    _bundle("a class that is none of ours", _file("heads/member-0-fit-0.json", _other_class)),
    _bundle("a pickle for arrays", _file("heads/member-0-fit-0.safetensors", lambda _: PICKLE)),
    _bundle("a pickle for the encoder", _file("encoders/encoder-0.safetensors", lambda _: PICKLE)),
]


def _empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


PREDICTIONS = [
    Malformed("predict: nobody", ("predict", "model", "empty"), _empty_folder, "empty holds no patient"),
    Malformed("predict: no folder", ("predict", "model", "nowhere"), _nothing, "nowhere: no such folder"),
    Malformed("predict: a table that is there", (*_PREDICT, "--out", "patients.csv"), _nothing, "patients.csv exists"),
    Malformed("predict: no such table", (*_PREDICT, "--clinical", "no.csv"), _nothing, "no.csv"),
    Malformed("predict: a picture for a table", (*_PREDICT, "--clinical", "t.csv"), text("t.csv", b"\xff\xd8\xff\xe0"),
              "t.csv"),
    Malformed("predict: a table of others", (*_PREDICT, "--clinical", "t.csv"),
              text("t.csv", "ID,GENDER,DOB,LYMPH_COUNT\nX1,M,,3\n"), "no row is of a patient"),
    Malformed("predict: an image that is none", _PREDICT, text("data/testset/P9/000001.jpg", "words"), "000001.jpg"),
    Malformed("compare: no such pipeline", ("compare", "c.h5", "--pipelines", "poolled"), _nothing, "poolled"),
    Malformed("compare: kept results of words", ("compare", "c.h5"), text("studies/compare.jsonl", "words\n"),
              "compare.jsonl, line 1"),
    Malformed("compare: deep kept results", ("compare", "c.h5"), text("studies/compare.jsonl", f"{DEEP}\n"),
              "compare.jsonl, line 1"),
    Malformed("compare: a file for a folder", ("compare", "c.h5", "--out", "s.db"), _nothing, "s.db is a file"),
    Malformed("info: nothing", ("info", "nowhere.h5"), _nothing, "nowhere.h5"),
    Malformed("info: a study of words", ("info", "t.db"), text("t.db", "words"), "t.db"),
    Malformed("clean: no folder", ("clean", "--cache", "nowhere/c.h5", "--yes"), _nothing, "nowhere"),
    Malformed("no such command", ("tunne",), _nothing, "tunne"),
    Malformed("no such option", ("tune", "--trails", "3"), _nothing, "--trails"),
]  # fmt: skip

TO_MODELS = [*STUDIES, *SUBMISSIONS, *EXPORTS, *BUNDLES, *PREDICTIONS]
