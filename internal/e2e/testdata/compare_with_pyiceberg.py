"""Compares a table of a lake, read by pyiceberg, with a CSV of the same rows.

    compare_with_pyiceberg.py LAKE TABLE CSV

The rows of the CSV are all of the table's, in the order of symbol and ts. Prints what
else pyiceberg sees, as JSON.
"""

import csv
import datetime
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "docs" / "examples"))

import pyarrow as pa
from read_with_pyiceberg import open_lake


def convert(text, kind):
    if text == "":
        return None
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_timestamp(kind):
        return datetime.datetime.fromisoformat(text)
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text]
    return text


lake, name, path = sys.argv[1:]
table = open_lake(lake).load_table(name)
rows = table.scan().to_arrow().sort_by([("symbol", "ascending"), ("ts", "ascending")])
kinds = {field.name: field.type for field in rows.schema}
with open(path, newline="") as file:
    want = [{key: convert(text, kinds[key]) for key, text in row.items()} for row in csv.DictReader(file)]
got = rows.to_pylist()
if len(got) != len(want):
    sys.exit(f"pyiceberg reads {len(got)} rows, tickerlake {len(want)}")
for have, wanted in zip(got, want):
    if have != wanted:
        sys.exit(f"pyiceberg reads\n{have}\ntickerlake\n{wanted}")
print(json.dumps({
    "rows": len(got),
    "columns": list(kinds),
    "partition": [[field.name, str(field.transform)] for field in table.spec().fields],
    "snapshots": [snapshot.snapshot_id for snapshot in table.snapshots()],
    "current": table.current_snapshot().snapshot_id,
    "runs": [snapshot.summary["tickerlake.run"] for snapshot in table.snapshots()],
}))
