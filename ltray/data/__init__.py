"""From a data-set definition to batches; `open_data` in `source` is the way in."""
