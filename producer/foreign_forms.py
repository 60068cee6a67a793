"""Files that are known and not read: what each is, and what to do with it.

In: the first bytes of a file. Out: the end of a sentence, or None. Next: `reelstream.producer.packed_file` refuses it.
"""

from __future__ import annotations

_CSV = "save its ratings as CSV with the columns userId,movieId,rating,timestamp"
_BEGINNINGS: dict[bytes, str] = {
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"\x1f\x9d": "compressed by `compress`; unpack it",
    b"SQLite format 3": f"an SQLite database; {_CSV}",
    b"\x89HDF": f"an HDF5 file; {_CSV}",
    b"\xd0\xcf\x11\xe0": f"an Excel workbook; {_CSV}",
    b"\x93NUMPY": f"a NumPy array; {_CSV}",
    b"\x80\x04\x95": f"a Python pickle, which may run code when it is read; {_CSV}",
    b"\x80\x03": f"a Python pickle, which may run code when it is read; {_CSV}",
    b"\x80\x02": f"a Python pickle, which may run code when it is read; {_CSV}",
    b"MATLAB 5": f"a MATLAB file; {_CSV}",
    b"Obj\x01": f"an Avro file; {_CSV}",
    b"\xff\xff\xff\xff": f"an Arrow stream; {_CSV}, or as an Arrow file or Parquet",
    b"FEA1": f"a Feather file of the first version; {_CSV}, or as Parquet",
    b"%PDF": f"a PDF; {_CSV}",
    b"%%MatrixMarket": f"a sparse matrix of Matrix Market; {_CSV}",
    b"@relation": f"an ARFF file; {_CSV}",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself; fetch it with `git lfs pull`",
    b"<!doctype html": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
    b"<?xml": f"XML; {_CSV}",
}
_INSIDE_ZIP = {
    "[Content_Types].xml": f"an Excel workbook; {_CSV}",
    "mimetype": f"a document of OpenOffice; {_CSV}",
}


def what_it_is(begin: bytes) -> str | None:
    begin = begin.removeprefix(b"\xef\xbb\xbf").lstrip()[:100]
    return next(
        (what for head, what in _BEGINNINGS.items() if begin.startswith(head) or begin.lower().startswith(head)), None
    )


def what_the_archive_is(members: list[str]) -> str | None:
    return next((what for name, what in _INSIDE_ZIP.items() if name in members), None)
