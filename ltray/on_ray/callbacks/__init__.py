"""The callbacks of Ray Tune during a search.

* `budget`: measures the budget.
* `forgive_failures`: resets the count of failures after progress.
* `json_lines`: writes reports.
* `progress`: shows the progress.
* `release_resources`: frees the resources of a trial that has crashed.
"""
