"""Reads the tables of a lake with pyiceberg, wherever the lake's folder stands.

    pip install "pyiceberg[sql-sqlite,pyarrow]"
    python read_with_pyiceberg.py LAKE [TABLE]

The tables name their files as s3://BUCKET/KEY, so that a lake can be moved and copied
to AWS. On disk that is LAKE/buckets/BUCKET/KEY: LakeFiles is all that a reader needs.
"""

import pathlib
import sys

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO


class LakeFiles(PyArrowFileIO):
    """Opens s3://BUCKET/KEY as the file BUCKET/KEY in the folder "lake.buckets"."""

    @staticmethod
    def parse_location(location, properties):
        path = pathlib.Path(properties["lake.buckets"], location.removeprefix("s3://"))
        return "file", "", str(path)


def open_lake(folder):
    """The catalog of the lake in a folder. Use it to read: tickerlake alone writes."""
    lake = pathlib.Path(folder).resolve()
    return SqlCatalog(
        "tickerlake",
        **{
            "uri": f"sqlite:///{lake / 'catalog.db'}",
            "init_catalog_tables": "false",
            "py-io-impl": f"{LakeFiles.__module__}.LakeFiles",
            "lake.buckets": str(lake / "buckets"),
        },
    )


if __name__ == "__main__":
    table = open_lake(sys.argv[1]).load_table(sys.argv[2] if len(sys.argv) > 2 else "prod.bars_1d")
    print(table)
    print(table.scan().to_arrow())
