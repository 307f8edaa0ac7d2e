#!/usr/bin/env python3
"""A WebDataset shard of `mimi tokenize` as Parquet, and back, by pyarrow.

    to_parquet.py ['{"key": "text"}'] < shard.tar > shard.parquet    keys for the file's metadata
    to_parquet.py --back < shard.parquet > shard.tar
    to_parquet.py --version                                         what the bytes depend on

The program has a copy of this file inside and runs it for `--as parquet`."""
import sys

sys.path = [place for place in sys.path if place]  # nothing in the current folder is meant

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = pa.schema([
    ("id", pa.string()), ("row", pa.int64()), ("path", pa.string()), ("member", pa.string()),
    ("start", pa.float64()), ("end", pa.float64()), ("channel", pa.int32()),
    ("seconds", pa.float64()), ("source_rate", pa.int32()), ("source_samples", pa.int64()),
    ("samples", pa.int64()), ("frames", pa.int64()), ("levels", pa.int32()),
    ("codes", pa.list_(pa.list_(pa.uint16()))),
    ("sha256", pa.string()), ("codes_crc32c", pa.string()), ("warning", pa.string()),
    ("fields", pa.string())])
MANIFEST_KEYS = {"path": "source"}  # where a column's name is another
# All that the writer could choose otherwise. Codes cost 11 bits as places in a dictionary, and no
# compression makes them smaller.
WRITER = {"version": "2.6", "data_page_version": "1.0", "compression": "none",
          "use_dictionary": ["codes.list.element.list.element"], "data_page_size": 1 << 20,
          "write_statistics": False, "write_page_checksum": True}
ROW_GROUP_CODES = 1 << 22
# Whole writes: sys.stdout's own may be of a part where PYTHONUNBUFFERED is set.
OUTPUT = open(sys.stdout.fileno(), "wb", closefd=False)


class Pipe(io.RawIOBase):
    """Standard output, with the place that pyarrow asks for."""
    place = 0

    def writable(self):
        return True

    def tell(self):
        return self.place

    def write(self, data):
        self.place += len(data)
        return OUTPUT.write(data)

    def flush(self):
        OUTPUT.flush()


def tar_rows():
    """The codes [levels, frames] and the line of the manifest of each row."""
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
        for member in tar:
            data = tar.extractfile(member).read()
            if member.name.endswith(".npy"):
                codes = np.load(io.BytesIO(data))
            else:
                yield {**json.loads(data), "codes": codes}


def row_groups(rows):
    group, codes = [], 0
    for row in rows:
        group.append(row)
        codes += row["codes"].size
        if codes >= ROW_GROUP_CODES:
            yield group
            group, codes = [], 0
    if group:
        yield group


def lists(values, lengths):
    offsets = np.cumsum([0, *lengths], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, values)


def column(name, rows):
    if name == "codes":
        arrays = [row["codes"] for row in rows]
        levels = lists(pa.array(np.concatenate([codes.ravel() for codes in arrays])),
                       [codes.shape[1] for codes in arrays for _ in codes])
        return lists(levels, [len(codes) for codes in arrays])
    values = [row.get(MANIFEST_KEYS.get(name, name)) for row in rows]
    if name == "fields":
        values = [None if fields is None else json.dumps(fields, ensure_ascii=False)
                  for fields in values]
    return pa.array(values, COLUMNS.field(name).type)


def to_parquet(metadata):
    schema = COLUMNS.with_metadata(metadata)
    with pq.ParquetWriter(pa.PythonFile(Pipe(), mode="w"), schema, **WRITER) as writer:
        for rows in row_groups(tar_rows()):
            columns = [column(name, rows) for name in schema.names]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=len(rows))


def add_member(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def add_row(tar, row, levels):
    codes = io.BytesIO()
    np.save(codes, levels.values.flatten().to_numpy().reshape(row["levels"], -1))
    if row["fields"] is not None:
        row["fields"] = json.loads(row["fields"])
    line = {MANIFEST_KEYS.get(name, name): value for name, value in row.items()
            if value is not None}
    key = str(row["row"])
    add_member(tar, key + ".npy", codes.getvalue())
    add_member(tar, key + ".json", json.dumps(line, ensure_ascii=False).encode())


def to_tar():
    file = pq.ParquetFile(pa.PythonFile(sys.stdin.buffer, mode="r"),
                          page_checksum_verification=True)
    if not file.schema_arrow.equals(COLUMNS):
        raise ValueError("its columns are not those that mimi tokenize writes")
    with tarfile.open(fileobj=OUTPUT, mode="w|") as tar:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            codes = table.column("codes")
            for row, levels in zip(table.drop_columns("codes").to_pylist(), codes):
                add_row(tar, row, levels)


def main(arguments):
    if arguments == ["--version"]:
        OUTPUT.write(f"pyarrow {pa.__version__}\n".encode())
    elif arguments == ["--back"]:
        to_tar()
    else:
        to_parquet(json.loads(arguments[0]) if arguments else None)
    OUTPUT.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Exception as error:  # told in a line, whatever it is
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
