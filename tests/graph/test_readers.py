"""Every format comes to the same arrays; every bad file is a diagnostic with the file's name."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

import ppl
from ppl.graph.dataset import Dataset
from ppl.graph.readers import as_dataset, read
from ppl.source.diagnostics import AimError

X = [1.0, 2.5, np.nan]
GROUP = ["a", None, "b"]


def written(folder, ending):
    """The same three columns in each format: numbers with a gap, names with a gap, whole numbers."""
    path = folder / f"data{ending}"
    frame = pandas.DataFrame({"x": X, "group": GROUP, "count": [1, 2, 3]})
    match ending:
        case ".json":
            path.write_text(json.dumps({"x": [1, 2.5, None], "group": GROUP, "count": [1, 2, 3]}))
        case ".csv":
            path.write_text("x,group,count\n1,a,1\n2.5,,2\n,b,3\n")
        case ".tsv":
            path.write_text("x\tgroup\tcount\n1\ta\t1\n2.5\t\t2\n\tb\t3\n")
        case ".npz":
            np.savez(path, x=X, count=[1, 2, 3])
        case ".parquet":
            frame.to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".json", ".csv", ".tsv", ".npz", ".parquet"])
def test_every_format_comes_to_the_same_arrays(tmp_path, ending):
    data = read(written(tmp_path, ending))
    np.testing.assert_array_equal(data.values["x"], X)
    np.testing.assert_array_equal(data.values["count"], [1, 2, 3])
    if ending != ".npz":
        assert list(data.values["group"]) == GROUP
    assert data.strict == (ending in (".json", ".npz"))


@pytest.mark.parametrize(
    "table",
    [
        pandas.DataFrame({"x": X, "group": GROUP}),
        pandas.DataFrame({"x": pandas.array([1, 2, None], dtype="Int64"), "group": pandas.Categorical(GROUP)}),
        pyarrow.table({"x": [1.0, 2.0, None], "group": GROUP}),
    ],
)
def test_tables_in_memory_keep_what_is_missing(table):
    data = as_dataset(table)
    assert list(data.values["group"]) == GROUP
    assert list(np.isnan(data.values["x"])) == [False, False, True]
    assert not data.strict


def test_columns_with_indices_are_a_matrix(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("X[0],X[1],y\n1,2,0\n3,4,1\n")
    np.testing.assert_array_equal(read(path).values["X"], [[1, 2], [3, 4]])


def test_a_column_that_lacks_in_a_matrix_is_missing(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("X[0],X[2]\n1,2\n3,4\n")
    np.testing.assert_array_equal(np.isnan(read(path).values["X"]), [[False, True, False]] * 2)


@pytest.mark.parametrize("text", ["x;y\n1;2\n", "\ufeffx,y\n1,2\n", "x, y\r\n1, 2\r\n", ",x,y\n0,1,2\n"])
def test_csv_as_other_programs_write_it(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    data = read(path)
    assert {name: list(values) for name, values in data.values.items()} == {"x": [1], "y": [2]}


def test_truth_values_are_zero_and_one(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("x,y\nTrue,true\nFalse,\n")
    data = read(path)
    assert list(data.values["x"]) == [1, 0]
    np.testing.assert_array_equal(data.values["y"], [1, np.nan])


@pytest.mark.parametrize("cell", ["NA", "N/A", "nan", "NaN", "null", "NULL", "None", "", " NA "])
def test_cells_that_say_that_nothing_was_measured_are_missing(tmp_path, cell):
    path = tmp_path / "data.csv"
    path.write_text(f"x,group,y\n1,a,true\n{cell},{cell},{cell}\n0,b,false\n")
    data = read(path)
    np.testing.assert_array_equal(data.values["x"], [1, np.nan, 0])
    assert list(data.values["group"]) == ["a", None, "b"]
    np.testing.assert_array_equal(data.values["y"], [1, np.nan, 0])


@pytest.mark.parametrize("ends", ["{}", "\n{}", "{}\n\n"])
def test_a_blank_line_of_a_single_column_is_missing(tmp_path, ends):
    """What follows keeps its place in time; around the table blank lines are nothing, nor are they between rows of several columns."""
    path = tmp_path / "data.csv"
    path.write_text(ends.format("x\n1\n\n\n4\n"))
    np.testing.assert_array_equal(read(path).values["x"], [1, np.nan, np.nan, 4])
    path.write_text(ends.format("x,y\n1,2\n\n3,4\n"))
    np.testing.assert_array_equal(read(path).values["x"], [1, 3])


def test_a_text_among_the_numbers_of_a_table_is_named_with_its_row(tmp_path):
    coin = ppl.parse("model coin:\n    for n in N:\n        x[n] ~ Bernoulli(0.5)\n")
    path = tmp_path / "na.csv"
    path.write_text("x\n1\nNA\n\n0\n?\n")
    with pytest.raises(AimError) as caught:
        coin.bind(str(path))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == "x[4] in row 6 is the text `?`, but a number is expected"
    assert "empty" in diagnostic.hint


def test_a_whole_list_may_be_missing():
    np.testing.assert_array_equal(as_dataset({"x": [[1, 2], None, [3, 4]]}).values["x"], [[1, 2], [np.nan, np.nan], [3, 4]])


def test_numbers_are_not_copied():
    x = np.linspace(0, 1, 10)
    assert as_dataset({"x": x}).values["x"] is x


def test_xarray_datasets_bring_the_names_of_their_axes():
    variable = SimpleNamespace(values=np.zeros((2, 3)), dims=("D", "N"))
    data = as_dataset(SimpleNamespace(data_vars={"X": variable}))
    assert data.dims == {"X": ("D", "N")}
    assert not data.strict


def test_a_dataset_stays_as_it_is_and_a_path_is_read(tmp_path):
    data = Dataset("here", {})
    assert as_dataset(data) is data
    assert as_dataset(str(written(tmp_path, ".json"))).values["x"].shape == (3,)


BAD_FILES = {
    "no_object.json": ("[1, 2]", "AIM0601", "object of names"),
    "broken.json": ('{"x": [1, 2', "AIM0601", "not JSON"),
    "twice.json": ('{"x": 1, "x": 2}', "AIM0603", "`x` is given twice"),
    "ragged.json": ('{"x": [[1, 2], [3]]}', "AIM0602", "x[1] has 1 entry, the others have 2"),
    "deep.json": ('{"x": [[[1, 2]], [[3, 4, 5]]]}', "AIM0602", "x[1, 0] has 3 entries, the others have 2"),
    "mixed.json": ('{"x": [[1, 2], 3]}', "AIM0602", "x[1] is a single value"),
    "object.json": ('{"x": {"bias": 1}}', "AIM0602", "x is an object"),
    "objects.json": ('{"x": [1, {"bias": 1}]}', "AIM0602", "x[1] is an object"),
    "rows.csv": ("x,y\n1,2\n3\n", "AIM0602", "row 3 has 1 cell, but"),
    "columns.csv": ("x,x\n1,2\n", "AIM0603", "two columns are called `x`"),
    "empty.csv": ("", "AIM0601", "empty"),
    "broken.npz": ("no archive", "AIM0601", "not an archive of arrays of numbers"),
    "empty.npz": ("", "AIM0601", "not an archive"),
    "broken.parquet": ("no table", "AIM0601", "not Parquet"),
    "data.xlsx": ("", "AIM0601", ".csv"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_diagnostics(tmp_path, name):
    text, code, part = BAD_FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(AimError) as caught:
        read(tmp_path / name)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert name in diagnostic.where
    assert part in diagnostic.message


def test_a_file_that_is_not_there_names_its_neighbour(tmp_path):
    (tmp_path / "data.json").write_text("{}")
    with pytest.raises(AimError, match=r"no such file\n.*did you mean `data.json`"):
        read(tmp_path / "dat.json")


def test_a_folder_and_bytes_that_are_no_text(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(AimError, match="a folder"):
        read(tmp_path / "folder.json")
    (tmp_path / "latin.json").write_bytes(b'{"x": "\xe9"}')
    with pytest.raises(AimError, match="byte 7 is not UTF-8"):
        read(tmp_path / "latin.json")


def test_what_is_no_data_is_refused():
    with pytest.raises(AimError, match=r"AIM0601.*of type int"):
        as_dataset(3)
    with pytest.raises(AimError, match=r"AIM0602.*of type date"):
        as_dataset({"when": np.array(["2020-01-01"], dtype="datetime64[D]")})


def test_tables_without_narwhals_name_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(AimError, match=r"AIM0604.*narwhals(.|\n)*aim-ppl\[frames\]"):
        as_dataset(pandas.DataFrame({"x": X}))
    assert read(written(tmp_path, ".csv")).values["x"].shape == (3,)


def test_all_irregular_values_are_reported_at_once():
    with pytest.raises(AimError) as caught:
        as_dataset({"x": [[1], [2, 3]], "y": [[], 1]}, "data.json")
    assert [d.code for d in caught.value.diagnostics] == ["AIM0602", "AIM0602"]
