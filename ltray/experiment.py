"""One run: from flat settings to data, stages and training, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ltray.data.beton.store import Check
from ltray.data.dataset import ImageData, open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.pin import Pin
from ltray.engine.backbone_knobs import check_backbone_knobs
from ltray.engine.checkpoint import Checkpoint, Position
from ltray.engine.ema import check_average
from ltray.engine.features import read_features
from ltray.engine.held_out import HeldOut
from ltray.engine.loop import planned_epochs, train
from ltray.engine.session import Run, Session
from ltray.errors import UsageError, did_you_mean
from ltray.following import TrainingSize
from ltray.hardware import BFLOAT16, automatic, check_bfloat16, way_of_bfloat16
from ltray.imported import check_code
from ltray.long_tail import LongTail
from ltray.methods.find import check_sequence, find_methods
from ltray.metrics import BALANCED, check_groups, check_objective
from ltray.network import Network
from ltray.network_config import NETWORK_SETTINGS, WEIGHTS, RunNetwork
from ltray.recipe import Recipe
from ltray.recorded_settings import recorded_settings
from ltray.run_settings import RANDOM, RunSettings
from ltray.setting_names import setting_names
from ltray.settings import plain, present_settings, take_owned
from ltray.stage import BuildContext, Method, Stage

OBJECTIVE = "objective"


@dataclass(frozen=True)
class Experiment:
    """The parts of one run, fully resolved and checked.

    Attributes:
        dataset: The data set.
        methods: The methods, in order; each continues from the one before it.
        knobs: Their hyperparameters.
        seed: Seed of weights, order and augmentation; the seed of the data is
            `dataset.data_seed`.
        network: The network that the first method builds.
        start: Folder of the checkpoint with the first network, or "".
        objective: The metric by which epochs and trials are compared; the best epoch by it is
            kept. In a search it is the first objective.
        explicit: The knobs, `<method>.<knob>`, whose values were given; the others have the papers' values.
        automatic: The values that the hardware has determined, by the names of knobs.
    """

    dataset: DatasetDefinition
    methods: tuple[Method, ...]
    knobs: tuple[Recipe, ...]
    seed: int
    network: RunNetwork
    start: str
    objective: str = BALANCED
    explicit: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    automatic: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, complete: bool = False) -> "Experiment":
        """Build from flat settings.

        Args:
            settings: `dataset` (name or path), `methods` (names, or dotted paths), optionally `seed`,
                any of `RunSettings`, `dataset.<field>` and `<method>.<knob>`; names of earlier versions are accepted.
            complete: Whether they are from `settings` or a draw: knobs that the user has not set may have no effect.

        Raises:
            UsageError: An unknown key or an illegal value.
        """
        settings = present_settings(settings)
        given = dict(settings)
        methods = find_methods(given.pop("methods"))
        reference, fields = given.pop("dataset"), take_owned(given, "dataset")
        dataset = DatasetDefinition(**fields) if "name" in fields else DatasetDefinition.read(reference, fields)
        given_knobs = {m.name: take_owned(given, m.name) for m in methods}
        knobs = tuple(m.knobs.resolve(dataset.profile, given_knobs[m.name], complete=complete) for m in methods)
        explicit = frozenset(f"{method}.{name}" for method, values in given_knobs.items() for name in values)
        own = RunSettings(**{name: given.pop(name) for name in RunSettings.specs() if name in given})
        network = {name: getattr(own, name) for name in NETWORK_SETTINGS if name in settings}
        if given:
            owners = setting_names(methods)
            raise UsageError(f"`{next(iter(given))}` is not a setting.{did_you_mean(next(iter(given)), owners)}")
        start, objective = own.start, own.objective
        check_sequence(methods)
        check_objective(objective)
        if methods[0].needs_network and not start:
            raise UsageError(f"`{methods[0].name}` continues from a trained network: give a run with --from.")
        if start and not methods[0].needs_network:
            raise UsageError(f"`{methods[0].name}` trains a new network: a run to continue has no effect.")
        built = RunNetwork.resolve(network, dataset, methods)
        return cls(built.suited(dataset, fields), methods, knobs, own.seed, built, start, objective, explicit)

    @classmethod
    def from_record(cls, settings: Mapping[str, Any]) -> "Experiment":
        """Build from the settings that a run of any version has recorded; see `recorded_settings`.

        Raises:
            UsageError: See `from_settings`.
        """
        find_methods(settings["methods"])  # imports those of other packages, whose knobs are then known
        return cls.from_settings(recorded_settings(settings), complete=True)

    def following(self, size: TrainingSize) -> "Experiment":
        """Return the run with the knobs that the user has not set adapted to the data; see `ltray.following`."""
        return replace(
            self,
            knobs=tuple(
                knobs.following(size, explicit_knobs(self.explicit, method.name))
                for method, knobs in zip(self.methods, self.knobs, strict=True)
            ),
        )

    def followed(self, before: "Experiment", size: TrainingSize) -> list[str]:
        """Return the changes by `following`, one line each: "rescom.hard_negatives 30 (the paper's 400; …)"."""
        papers = [method.knobs.resolve(self.dataset.profile, {}) for method in self.methods]
        runs = zip(self.methods, self.knobs, before.knobs, papers, strict=True)
        return [f"{m.name}.{line}" for m, now, old, paper in runs for line in now.described_changes(old, size, paper)]

    def undetermined(self) -> set[str]:
        """Return the names of the knobs that are `auto`: the hardware determines them before the run begins."""
        return {name for knobs in self.knobs for name in knobs.undetermined()}

    def determined(self, values: Mapping[str, str]) -> "Experiment":
        """Return the run with these values for the knobs that are `auto`."""
        return replace(self, knobs=tuple(knobs.determined(values) for knobs in self.knobs), automatic=values)

    def settings(self) -> dict[str, Any]:
        """Return the complete flat settings; `from_settings` of them gives an equal experiment.

        They contain every field of the data set's definition, so that no file is read again.
        """
        flat: dict[str, Any] = {
            "dataset": self.dataset.name,
            "methods": [m.reference for m in self.methods],
            "seed": self.seed,
            **self.network.settings(),
            "start": self.start,
        }
        if self.objective != type(self).objective:  # folders and checkpoints may be older than this setting
            flat[OBJECTIVE] = self.objective
        flat |= {f"dataset.{name}": plain(v) for name, v in self.dataset.as_dict().items()}
        for method, knobs in zip(self.methods, self.knobs, strict=True):
            flat |= {f"{method.name}.{name}": plain(value) for name, value in knobs.as_dict().items()}
        return flat

    @property
    def selection(self) -> str:
        """Prefix of the metrics by which epochs and trials are compared."""
        return "test" if self.dataset.protocol == "paper" else "val"

    @property
    def metric(self) -> str:
        """The metric by which epochs and trials are compared, such as "val/acc_all"."""
        return f"{self.selection}/{self.objective}"

    def open_data(self, device: torch.device, *, check: Check = "trust", digest: str = "") -> ImageData:
        """Open the data set, and check the knobs whose bounds depend on it; see `opened`.

        Raises:
            UsageError: A knob is above the limit for the number of classes, or see `opened`.
        """
        data = self.opened(device, check=check, digest=digest)
        self.check_classes(data.tail.classes)
        return data

    def opened(self, device: torch.device, *, check: Check = "trust", digest: str = "") -> ImageData:
        """Open the data set without a check of the knobs.

        Args:
            device: The device on which views are created.
            check: The treatment of originals that have changed since they were converted: "convert" for a new run,
                "compare" for a command that uses an existing run; workers do not check them.
            digest: Digest of the run's data, or "" for a new run.

        Raises:
            UsageError: The data have changed, or the objective is about a group without classes.
        """
        data = open_data(self.dataset, device=device, check=check)
        data.check_digest(digest)
        check_groups(self.objective, data.tail.groups())
        return data

    def check_classes(self, classes: int) -> None:
        """Check the knobs whose bounds depend on the number of classes.

        Raises:
            UsageError: A knob is above the limit for this number; the message contains the method's name.
        """
        for method, knobs in zip(self.methods, self.knobs, strict=True):
            knobs.check_classes(classes, owner=method.name)

    def stages(self, tail: LongTail, *, saved: Checkpoint | None = None, load: bool = True) -> list[Stage]:
        """Build every method's stages; the same seed gives the same weights on every worker.

        Args:
            tail: Class counts of the training set.
            saved: A checkpoint that will be loaded into the stages: `weights` and `start` are then not read.
            load: Whether they are read in other cases; a dry run downloads no published weights.
        """
        origin = saved.context.get("start") if saved else None
        return self._build(tail, origin or self._origin(), load=load and saved is None)

    def untrained_stages(self, tail: LongTail) -> list[Stage]:
        """Build every method's stages without pretrained or trained weights."""
        return self._build(tail, self._origin(), load=False)

    def shortened(self, epochs: int) -> "Experiment":
        """Return the run with `epochs` epochs in every method with training; schedules are scaled."""
        return replace(self, knobs=tuple(k.shortened(epochs) if k.epochs else k for k in self.knobs))

    def planned_epochs(self, tail: LongTail) -> int:
        """Return the number of epochs, over all stages, that a complete run reports."""
        return planned_epochs(self.untrained_stages(tail))

    def views(self, tail: LongTail) -> int:
        """Return the largest number of views of an image that a stage reads; 0 where all read features."""
        return max(len(stage.views) for stage in self.untrained_stages(tail))

    def stage_epochs(self, tail: LongTail) -> list[int]:
        """Return the epochs of every stage."""
        return [stage.recipe.epochs for stage in self.untrained_stages(tail)]

    def train(
        self, session: Session, device: torch.device, *, start: Checkpoint | None = None, pin: Pin | None = None
    ) -> Position:
        """Train from the session's checkpoint, or from the start.

        Args:
            session: Receives metrics and checkpoints.
            device: The device of the training.
            start: Initial state of the stages: a checkpoint of a run with the same stages that has
                ended. Its optimiser state and its position are not used.
            pin: Digests of the data of the command that started this process, perhaps on another node; None: this
                process is the command.

        Raises:
            UsageError: The data differ from those of the command or of the checkpoint; see `open_data`.
        """
        saved = session.resume()
        now = self.determined_on(device, saved)
        return now.train_on(now.checked_data(device, pin=pin, saved=saved), session, device, start=start)

    def determined_on(self, device: torch.device, saved: Checkpoint | None) -> "Experiment":
        """Return the experiment with its automatic values determined, as a command does before it starts a worker."""
        names, known = self.undetermined(), saved.settings if saved else {}
        known = {name: known[key] for name in names if (key := f"{self.methods[-1].name}.{name}") in known}
        return self.determined(automatic(names, device, known=known)) if names else self

    def checked_data(self, device: torch.device, *, pin: Pin | None, saved: Checkpoint | None) -> ImageData:
        """Open the data set and compare it with the command's and the checkpoint's; see `train`."""
        data = self.open_data(device)
        if pin:
            data.check_pin(pin)
        if self._in_bfloat16():
            recorded = saved.context.get(BFLOAT16, "") if saved else ""
            check_bfloat16(device, recorded=recorded, **({"command": pin.bfloat16, "node": pin.node} if pin else {}))
        data.check_digest(saved.context.get("data_digest", "") if saved else "")
        return data

    def train_on(
        self,
        data: ImageData,
        session: Session,
        device: torch.device,
        *,
        start: Checkpoint | None = None,
        held_out: HeldOut | None = None,
    ) -> Position:
        """Train on an opened data set; see `train`.

        Args:
            data: The data set, or that of a fold.
            session: See `train`.
            device: See `train`.
            start: See `train`.
            held_out: The scores of the cross-validation of which this is a run; None: there is none.
        """
        if self.dataset.folds and not held_out:
            raise ValueError("a data set with folds is trained by ltray.study.fold_runs.FoldRuns")
        saved = session.resume()
        stages = self.stages(data.tail, saved=saved or start)
        if start and not saved:
            torch.nn.ModuleList(stages).load_state_dict(start.weights())
        run = replace(self.run(device, data, saved=saved or start), held_out=held_out)
        return train(stages, data, session, run, saved=saved)

    def run(self, device: torch.device, data: ImageData, *, saved: Checkpoint | None = None) -> Run:
        """Return the constants of this run's training."""
        context = {"class_names": list(data.class_names), "counts": list(data.tail.counts), "data_digest": data.digest}
        if self._in_bfloat16():
            context[BFLOAT16] = way_of_bfloat16(device)
        if self.start:
            context["start"] = saved.context["start"] if saved else self._origin()
        if record := saved.context.get(WEIGHTS, {}) if saved else self.weights_record():
            context[WEIGHTS] = record
        return Run(self.seed, device, self.selection, self.objective, self.settings(), context)

    def _in_bfloat16(self) -> bool:
        return any(knobs.precision == BFLOAT16 for knobs in self.knobs)

    def weights_record(self) -> Mapping[str, str]:
        """Return the record of the run's initial weights; {} for random weights.

        The initial weights of a run that continues from another one are those of that run.

        Raises:
            UsageError: Their file does not exist.
        """
        origin = self._origin()
        found: Mapping[str, str] = origin["context"].get(WEIGHTS, {}) if origin else self.network.record()
        return found

    def _origin(self) -> dict[str, Any] | None:
        """Return the data needed to build the network of `start` again, without its weights."""
        if not self.start:
            return None
        checkpoint = _read(Path(self.start))
        stage = checkpoint.position.stage
        return {"settings": checkpoint.settings, "context": checkpoint.context, "stage": stage}

    def _build(self, tail: LongTail, origin: Mapping[str, Any] | None, *, load: bool) -> list[Stage]:
        network = None
        if origin:
            network = load_network(Path(self.start), tail) if load else _untrained(origin)
        torch.manual_seed(self.seed)  # after the start, which is built with the seed of its run
        stages: list[Stage] = []
        for method, knobs in zip(self.methods, self.knobs, strict=True):
            context = BuildContext(
                tail,
                lambda kind: self.network.new(kind, tail, load=load, image_size=self.dataset.image_size),
                network,
                self.dataset.image_size,
                pretrained=self.network.weights != RANDOM,
                text_rows=self.network.text_rows(),
            )
            built = method.stages(knobs, context)
            if not built:
                raise UsageError(f"`{method.name}`: its function `stages` returned no stage.")
            check_average(method.name, built)
            check_backbone_knobs(method.name, built)
            read_features(method.name, built)
            stages += built
            network = stages[-1].network
        return stages


def explicit_knobs(keys: Iterable[str], method: str) -> set[str]:
    """Return the names of a method's knobs among the keys `<method>.<knob>`."""
    return {key.partition(".")[2] for key in keys if key.startswith(f"{method}.")}


def restore(checkpoint: Checkpoint, device: torch.device) -> tuple[Experiment, list[Stage]]:
    """Rebuild the experiment of a checkpoint and its stages with the saved weights."""
    experiment = Experiment.from_record(checkpoint.settings)
    stages = experiment.stages(LongTail(tuple(checkpoint.context["counts"])), saved=checkpoint)
    everything = torch.nn.ModuleList(stages).to(device)
    everything.load_state_dict(checkpoint.weights())
    return experiment, stages


def load_network(folder: Path, tail: LongTail) -> Network:
    """Return the trained network of a checkpoint, for a method that continues from it.

    Raises:
        UsageError: There is no checkpoint, or it was trained on another number of classes.
    """
    checkpoint = _read(folder)
    classes = len(checkpoint.context["counts"])
    if classes != tail.classes:
        raise UsageError(f"{folder}: was trained on {classes} classes, but the data set has {tail.classes}.")
    _, stages = restore(checkpoint, torch.device("cpu"))
    return stages[checkpoint.position.stage].network


def _read(folder: Path) -> Checkpoint:
    try:
        checkpoint = Checkpoint.load(folder)
    except FileNotFoundError as error:
        raise UsageError(f"{folder}: contains no checkpoint.") from error
    check_code(checkpoint.settings, checkpoint.context, folder)
    return checkpoint


def _untrained(origin: Mapping[str, Any]) -> Network:
    """Build the network of a run's start again, without its weights."""
    tail = LongTail(tuple(origin["context"]["counts"]))
    own = Experiment.from_record(origin["settings"])
    stages = own._build(tail, origin["context"].get("start"), load=False)
    return stages[int(origin["stage"])].network
