"""Figures for papers: one style, and the folder in which a figure is kept with its numbers.

* `result_folder`: results as JSON and figures.
* `style`: size, fonts and colours.
"""
