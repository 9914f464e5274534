"""What Ray Tune calls while a search runs.

* `budget`: measures the budget.
* `forgive_failures`: lets long trials fail more often.
* `json_lines`: writes reports.
* `progress`: shows the progress.
* `release_resources`: frees what a dead trial held.
"""
