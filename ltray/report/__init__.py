"""The report of runs and searches as one HTML page without external resources.

* `__main__`: the command `ltray report`.
* `best_model`: the model in `best/`, from its saved files.
* `facts`: facts about a run in a line.
* `formatting`: values as text.
* `order`: the order of the sections.
* `pictures`: images as data URIs.
* `plot`: a figure with its text alternative.
* `render`: the report as a file.
* `run_images`: the original images of a run.
* `script`: JSON and plotly.js inside the page.
* `section`: a template with its values.
* `sections`: the sections, a module and a template each.
* `table`: a table with a caption.
* `templating`: the templates.
* `theme`: colours for light and dark.
* `watch`: the page of running runs, served to a browser of this machine.
"""
