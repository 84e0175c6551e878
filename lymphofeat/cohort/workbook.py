"""Excel workbooks as tables of texts."""

from datetime import date, datetime, time
from io import BytesIO
from typing import Any

from ..storage.unpacked import unpacked_size

__all__ = ["SheetError", "looks_like_workbook", "sheet_names", "sheet_rows"]

_MOST = 500_000_000  # bytes, unpacked; a table of 100,000 patients has a tenth of it
_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


class SheetError(ValueError):
    """A workbook that cannot be used; its text ends a sentence, `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def looks_like_workbook(content: bytes) -> bool:
    """Whether these bytes are a file of Excel, of today (.xlsx) or of before 2007 (.xls)."""
    return content.startswith((_ZIP, _OLD))


def sheet_names(content: bytes) -> list[str]:
    """Names of the sheets that hold anything.

    Raises:
        SheetError: no .xlsx file.
    """
    return [name for name, rows in _sheets(content).items() if rows]


def sheet_rows(content: bytes, sheet: str = "") -> list[tuple[int, list[str]]]:
    """Row numbers and cells of a sheet as texts; empty rows are passed over.

    Dates become ISO text, whole numbers have no `.0`, formulas are the values that Excel stored last.

    Args:
        content: of an .xlsx file.
        sheet: its name; "" for the only one that holds anything.

    Raises:
        SheetError: no .xlsx file, no such sheet, or several and none named.
    """
    sheets = _sheets(content)
    if sheet:
        if sheet not in sheets:
            raise SheetError(f"has no sheet {sheet!r}", f"name one of {', '.join(sheets)}")
        return sheets[sheet]
    filled = {name: rows for name, rows in sheets.items() if rows}
    if len(filled) > 1:
        names = list(filled)
        raise SheetError(
            f"has {len(names)} sheets ({', '.join(names)})", f"name one, as in file.xlsx#{names[0]}"
        )
    return next(iter(filled.values()), [])


def _sheets(content: bytes) -> dict[str, list[tuple[int, list[str]]]]:
    from openpyxl import load_workbook  # few cohorts come as a workbook

    if content.startswith(_OLD):
        raise SheetError("is a workbook of before Excel 2007", "save it as .xlsx or CSV")
    if unpacked_size(content) > _MOST:
        raise SheetError(
            f"unpacks to more than {_MOST // 1_000_000} MB, too much for a table of patients",
            "save it as CSV",
        )
    try:
        book = load_workbook(BytesIO(content), read_only=True, data_only=True)
        return {one.title: _texts(one) for one in book.worksheets}
    except Exception as error:  # zip, XML and openpyxl itself: each raises its own on damaged files
        raise SheetError(
            f"is not a workbook that can be read ({error})", "save it as .xlsx again or as CSV"
        ) from error


def _texts(sheet: Any) -> list[tuple[int, list[str]]]:
    rows = (
        (number, [_text(value) for value in row])
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1)
    )
    filled = [(number, _cut(cells)) for number, cells in rows if any(cells)]
    width = len(filled[0][1]) if filled else 0
    return [(number, cells + [""] * (width - len(cells))) for number, cells in filled]


def _cut(cells: list[str]) -> list[str]:
    """Without the empty cells at the end, which a sheet's range holds beside the table."""
    n = max(i for i, cell in enumerate(cells) if cell) + 1
    return cells[:n]


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date():
            return value.isoformat()
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value).strip()
