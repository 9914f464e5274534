"""The report of runs and searches as one HTML page without external resources.

* `chart`: charts as SVG.
* `figures`: the charts of a report.
* `findings`: Pareto front and hyperparameter importance.
* `formatting`: values as text.
* `__main__`: the command `ltray report`.
* `model`: the model in `best/`.
* `page`: the parts of a page.
* `render`: the report as a file.
* `search`: the trials of a search.
* `summary`: the first part of the page.
"""
