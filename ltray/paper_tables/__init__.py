"""A table of a paper: all its rows trained over several seeds, our figures and the published ones side by side.

* `__main__`: prints the page of all tables.
* `layout`: the cells and notes of a table, for people.
* `markup`: a table in Markdown and LaTeX.
* `own_settings`: the settings of a user in the rows that have them.
* `prepared`: the runs of a table, checked.
* `result`: results of the runs of a row.
* `result_frame`: a table as data.
* `table_file`: the file that defines a table.
* `table_files`: the files of a table.
* `table_page`: the page of all tables and figures.
* `table_row`: one row.
* `table_status`: how far the runs of a table are.
"""
