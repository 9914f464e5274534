"""Recorded learning curves of real runs, as Parquet, and the spaces from which their settings were drawn.

`TASK.parquet` has one row for each task, setting, seed and epoch (columns `task`, `setting`, `seed`, `epoch`, `value`;
the value is the accuracy on the validation images, a share), and provenance in its metadata. `TASK-settings.parquet`
has the settings, `TASK.yaml` is the search space.

* `tasks`: the tasks, and which of them are held out.
* `tables`: reads and writes the files.
* `heads`: many linear classifiers trained at once on the features of a frozen network.
* `small_network`: the network of the runs from random weights.
* `training`: one run at a time, with ltray's own training loop.
"""
