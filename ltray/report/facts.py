"""Facts about a run in a line: methods and data, key figures, the metric that figures show."""

from ltray.metrics import BALANCED, METRICS, heading, shown_accuracies, title
from ltray.report.formatting import SELECTED_ON_TEST, percent, symbol
from ltray.results.finalist_table import name_of, selected_on, shift_of, spread
from ltray.results.run_record import RunRecord


def headline(record: RunRecord) -> str:
    """Return methods, data and protocol in one line."""
    settings = record.settings
    what = f"search over {len(record.explored)} knobs" if record.is_search else "training run"
    stamp = SELECTED_ON_TEST if record.protocol == "paper" else f"selected {record.selected_how}"
    return f"{what}: {record.methods} on {settings['dataset']}; {stamp}"


def key_figures(record: RunRecord) -> list[tuple[str, str]]:
    """Return the key figures, each with its meaning."""
    found = []
    if record.trials is not None and len(record.trials):
        states = record.trials["state"].value_counts()
        text = ", ".join(f"{count} {state}" for state, count in states.items())
        found.append((str(len(record.trials)), f"trials ({text})"))
    if record.finalists is not None:
        best = record.finalists.iloc[0]
        chosen = f"{selected_on(best)}, winner {name_of(best)}, mean over new seeds"
        found.append((f"{spread(best, 'selection')} %", chosen))
        first = record.objectives[0]
        text = "test, same runs" if heading(first) == "all" else f"test {heading(first)}, same runs"
        found.append((f"{spread(best, f'test/{first}')} %", text))
        if not best["paper"]:
            found.append((str(best["verdict"]), f"compared with the papers' setting: {shift_of(best)} points on test"))
    elif record.evaluation:
        shown = shown_accuracies(record.evaluation["metrics"], "test", record.objectives[0])
        found += [(f"{percent(value)} %", f"test {name}") for name, value in shown.items()]
    return found


def of_group(record: RunRecord) -> str:
    """Return the name of the metric that the figures show, as a sentence; "" for the accuracy over all images."""
    first = record.objectives[0]
    group = METRICS[first].group
    text = f"Accuracy of the {group}-shot classes" if group else title(first).capitalize()
    return "" if first == BALANCED else f"{text}: the first objective."


def images_of(record: RunRecord) -> str:
    """Return the name of the images by which trials are compared."""
    if record.folds:
        return f"the images of {record.folds} folds"
    return "test images" if record.selection == "test" else "validation images"


def knob_label(knob: str) -> str:
    """Return the symbol of a knob given by its full name, or the last part of the name if it has none."""
    return symbol(knob) or knob.rpartition(".")[2]
