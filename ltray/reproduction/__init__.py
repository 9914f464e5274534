"""A published row that is trained here: its settings, where it is, what it costs, and the verdict.

* `availability`: whether a row can be trained on this machine, and whether its result can be judged.
* `background`: training in a process that outlives the terminal.
* `hours`: cost of a row on this machine, measured once.
* `listing`: list of the rows.
* `outcome`: verdict on finished runs, as a row of a Markdown table.
* `progress`: state of a row's run folders.
* `row`: settings of a row.
"""
