"""The definition of a data set: one flat YAML file, checked like all other settings."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from ltray.arguments import check_place, why_not_local_path
from ltray.data.encoding import SMALL, Storage
from ltray.data.imbalance import KINDS, kinds_by
from ltray.errors import UsageError, did_you_mean, shown
from ltray.imported import is_dotted_path
from ltray.knobs import HIGHEST_SEED, Above, Knobs, OrDotted, Value, knob
from ltray.printable import printable
from ltray.program import called
from ltray.settings_file import SettingsFile

SHIPPED = (Path(__file__).parents[1] / "datasets").resolve()  # package data; in the repository a link
BUNDLED = ("cifar10", "cifar100", "digits")
# The function that opens each source, as a dotted path: its argument is a definition, and its module imports this one.
SOURCES: Mapping[str, str] = {
    "cifar10": "ltray.data.sources.cifar:open_cifar",
    "cifar100": "ltray.data.sources.cifar:open_cifar",
    "digits": "ltray.data.sources.digits:open_digits",
    "folder": "ltray.data.sources.folder:open_folder",
    "lists": "ltray.data.sources.lists:open_lists",
    "parquet": "ltray.data.sources.parquet:open_parquet",
}

MOST_IMAGES = 10**9
MOST_FOLDS = 20
LONGEST_NAME = 100  # bytes; names of folders contain it and more
PLACES = ("folder", "train_list", "validation_list", "test_list", "class_names", "store", "reference_list")

# The published data sets for which methods have values; all others use "default".
PROFILES = ("default", "cifar10_lt", "cifar100_lt", "digits_lt", "imagenet_lt", "inat18", "places_lt")

_LISTED = ("source", OrDotted(("lists", "parquet")))
_COLUMNS = ("source", ("lists", "parquet"))
_LARGE = ("image_size", Above(SMALL))


@dataclass(frozen=True)
class DatasetDefinition(Knobs):
    """A long-tailed data set: the source of its images and the selection of its training images.

    The fields up to `jpeg_quality` determine the .beton files; those after it only determine how
    the files are read and which of their images are used for training, so that one conversion is
    enough for all imbalance factors and seeds.
    """

    called: ClassVar[str] = "a field of a data set"

    name: str = knob("", "", "name of the data set in results and folders")
    source: str = knob("", "", "source of the original images", choices=tuple(SOURCES), dotted=True)
    folder: str = knob(
        "",
        "",
        "folder of the originals; empty: the default folder of the source, or a download",
        needs=("source", OrDotted(tuple(name for name in SOURCES if name != "digits"))),
    )
    train_list: str = knob("", "", "list file or Parquet pattern of the training images", needs=_LISTED)
    validation_list: str = knob("", "", "the same for an official validation set; empty: no such set", needs=_LISTED)
    test_list: str = knob(
        "", "", "the same for the test set; empty: take it from the source with `test_per_class`", needs=_LISTED
    )
    class_names: str = knob(
        "",
        "",
        "file with one class name per line; empty: names from the lists or folders",
        needs=("source", ("lists",)),
    )
    image_column: str = knob(
        "", "", "column of the images, or of their paths in a table; empty: the usual names", needs=_COLUMNS
    )
    label_column: str = knob("", "", "column of the labels; empty: the usual names", needs=_COLUMNS)
    split_column: str = knob(
        "",
        "",
        "column of a table that contains train, validation or test; empty: the usual names",
        needs=("source", ("lists",)),
        before="",
    )
    store: str = knob(
        "", "", "name of the converted files' folder below $LTRAY_DATA, or its path; . is the file's folder"
    )
    image_size: int = knob(32, "", "side of a view in pixels", low=4, high=2048)
    longest_side: int = knob(
        500,
        "",
        "largest longer side of a stored image in pixels, for views above 64 pixels",
        low=32,
        high=65_535,
        needs=_LARGE,
    )
    jpeg_quality: int = knob(
        90, "", "quality of stored JPEGs, for views above 64 pixels", low=1, high=100, needs=_LARGE
    )
    profile: str = knob("default", "", "key of the methods' `paper_values` for this data set", choices=PROFILES)
    flip: bool = knob(True, "", "whether a mirrored image has the same class")
    mean: tuple[float, ...] = knob(
        (0.4914, 0.4822, 0.4465), "", "mean of each channel, on a scale of 0 to 1", low=0.0, high=1.0
    )
    std: tuple[float, ...] = knob(
        (0.2023, 0.1994, 0.2010), "", "standard deviation of each channel", low=1e-3, high=1.0
    )
    imbalance_kind: str = knob("natural", "", "shape of the class counts", choices=tuple(KINDS))
    imbalance_factor: float = knob(
        1.0,
        "IF",
        "largest class count / smallest class count; 0.01 means 100",
        low=1e-6,
        high=1e6,
        needs=("imbalance_kind", kinds_by("factor")),
    )
    imbalance_shape: float = knob(
        6.0,
        "a",
        "shape of the Pareto distribution; ImageNet-LT's is 6",
        low=0.1,
        high=100.0,
        needs=("imbalance_kind", kinds_by("shape")),
    )
    imbalance_exponent: float = knob(
        1.0,
        "γ",
        "n' is proportional to n^γ of `reference_list`",
        low=0.0,
        high=4.0,
        needs=("imbalance_kind", kinds_by("exponent")),
    )
    reference_list: str = knob(
        "", "", "list file whose class counts `power` starts from", needs=("imbalance_kind", kinds_by("exponent"))
    )
    largest_class: int = knob(0, "n_max", "largest number of images of a class; 0: no limit", low=0, high=MOST_IMAGES)
    data_seed: int = knob(0, "", "seed of the choice of images in the long-tailed subset", low=0, high=HIGHEST_SEED)
    test_per_class: int = knob(
        0, "", "test images per class, taken from the source; 0: the test set of the source", low=0, high=MOST_IMAGES
    )
    validation_per_class: int = knob(
        0,
        "",
        "validation images per class (protocol `honest`)",
        low=0,
        high=MOST_IMAGES,
    )
    folds: int = knob(
        0,
        "",
        "folds of a cross-validation, which validates each training image once; 0: validation images are held out",
        low=0,
        high=MOST_FOLDS,
        needs=("protocol", ("honest",)),
        before=0,
    )
    protocol: str = knob(
        "honest",
        "",
        "honest: select on validation images; paper: on the test set, as most official code does",
        choices=("honest", "paper"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "/" in self.name:
            raise UsageError(f"`name` is part of file names and must not contain a slash, but got {self.name!r}.")
        if self.name in (".", "..") or len(os.fsencode(self.name)) > LONGEST_NAME or printable(self.name) != self.name:
            raise UsageError(f"`name` is part of file names and must be short, but got {shown(self.name)}.")
        if 0.0 < self.imbalance_factor < 1.0:
            object.__setattr__(self, "imbalance_factor", 1.0 / self.imbalance_factor)
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise UsageError(f"`{name}` needs three numbers (red, green, blue), but got {getattr(self, name)}.")
        if self.folds == 1:
            raise UsageError("`folds` must be 0 (no cross-validation) or at least 2, but got folds=1.")
        if self.folds and self.validation_per_class:  # not `needs`, which would refuse protocol=paper for its files
            raise UsageError(
                f"`validation_per_class` has no effect with folds={self.folds}, but got {self.validation_per_class}: "
                "remove it, or set folds=0."
            )
        self.check_effects(self.explicit_values())

    @classmethod
    def check_value(cls, name: str, given: Any) -> Value:
        """Return `given` in the type of the field `name`; see `Knobs.check_value`. A path must be a valid path."""
        value = super().check_value(name, given)
        if name in PLACES:
            check_place(name, str(value))
        return value

    @property
    def storage(self) -> Storage:
        """The form in which its images are stored."""
        if self.image_size <= SMALL:
            return Storage(square=self.image_size)
        return Storage(longest=max(self.longest_side, self.image_size), quality=self.jpeg_quality)

    @property
    def key(self) -> str:
        """Folder name of its converted files; different originals or pixels give different keys."""
        if self.source in BUNDLED:
            return f"{self.store or self.source}-{self.storage.key}"
        lists = (self.train_list, self.validation_list, self.test_list, self.class_names)
        originals = (self.source, self._real_place, lists, *self._columns)
        digest = hashlib.sha256(repr(originals).encode()).hexdigest()
        return f"{self.store or self.name}-{self.storage.key}-{digest[:8]}"

    @property
    def originals(self) -> tuple[str, ...]:
        """Its description of the originals, without their location."""
        lists = (self.train_list, self.validation_list, self.test_list, self.class_names)
        return (self.source, *lists, *self._columns)

    def identity(self) -> list[str]:
        """Return the values that distinguish its originals from those of another data set."""
        return ["" if self.source in BUNDLED else self._real_place, *self.originals]

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns; without `split_column` if it is empty, as in conversions of earlier versions."""
        split = (self.split_column,) if self.split_column else ()
        return (self.image_column, self.label_column, *split)

    @property
    def _real_place(self) -> str:
        """The folder with links resolved; "" if a source of another package has none."""
        return "" if is_dotted_path(self.source) and not self.folder else os.path.realpath(self.place)

    @property
    def place(self) -> Path:
        """`folder` as a path; the images of list files are below it."""
        return Path(self.folder).expanduser()

    @classmethod
    def read(cls, path_or_name: str | os.PathLike[str], overrides: Mapping[str, Any] | None = None) -> Self:
        """Read a definition.

        Args:
            path_or_name: A YAML file, or the name of one in `datasets/`: "cifar100-lt".
            overrides: Values that replace the file's.

        Raises:
            UsageError: No such file or name, an unknown key, an illegal value; with file
                and line if the error is in the file.
        """
        file = SettingsFile.read(find(path_or_name))
        for key, value in file.values.items():
            cls.check_name(key, file.where(key))
            try:
                cls.check_value(key, value)
            except UsageError as error:
                raise UsageError(f"{file.where(key)}{error}") from error
        for key, value in (overrides or {}).items():
            cls.check_name(key)
            cls.check_value(key, value)
        values = {**_placed(_without_held_out(file.values, overrides or {}), file.path.parent), **dict(overrides or {})}
        values = _absolute(values, file.path.parent)
        if str(values.get("store", "")).startswith("."):
            values["store"] = str((file.path.parent / values["store"]).resolve())
        for key in ("name", "source"):
            if key not in values:
                raise UsageError(f"{file.path}: `{key}` is missing; known sources: {', '.join(SOURCES)}.")
        try:
            return cls(**values)
        except UsageError as error:
            raise UsageError(f"{file.path}: {error}") from error

    @property
    def selected_how(self) -> str:
        """How epochs and settings are selected, as text."""
        return selected_how(self.protocol, self.folds)

    def imbalance(self) -> str:
        """Return the imbalance as text, as factor and as ratio."""
        kind = KINDS[self.imbalance_kind]
        if not kind.made:
            capped = f", at most {self.largest_class:,} per class" if self.largest_class else ""
            return f"the class counts of the source{capped}"
        if kind.needs_reference:
            return f"class counts of {self.reference_list} to the power {self.imbalance_exponent:g}"
        return (
            f"imbalance factor {self.imbalance_factor:g} (ratio {1 / self.imbalance_factor:g}), {self.imbalance_kind}"
        )

    def explicit_values(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, for provenance."""
        fresh = {f.name: f.default for f in dataclasses.fields(self)}
        return {name: value for name, value in self.as_dict().items() if value != fresh[name]}


def selected_how(protocol: str, folds: int) -> str:
    """Return how epochs and settings are selected, as text: "on validation images", "by 5-fold cross-validation", …."""
    if protocol == "paper":
        return "on the test set"
    return f"by {folds}-fold cross-validation" if folds else "on validation images"


def find(path_or_name: str | os.PathLike[str]) -> Path:
    """Return the file of a definition given by path or by name.

    Raises:
        UsageError: Neither a file nor a name in `datasets/`.
    """
    text = os.fspath(path_or_name)
    if problem := why_not_local_path(text):
        raise UsageError(f"data set: {shown(text)} {problem}.")
    if Path(text).exists() and not Path(text).is_dir():
        return Path(text)
    known = {file.stem: file for folder in (SHIPPED, Path("datasets")) for file in sorted(folder.glob("*.yaml"))}
    if text in known:
        return known[text]
    if Path(text).is_dir():
        raise UsageError(f"{text} is a folder, not a data-set file; `{called('convert')} {text}` writes one.")
    hint = did_you_mean(Path(text).stem, known)
    raise UsageError(f"{text}: no such file or folder, and no data set of this name in {SHIPPED}.{hint}")


LISTS = ("train_list", "validation_list", "test_list", "class_names", "reference_list")
"""Fields that contain a path to a file, in the working directory or below `folder`; Parquet: only below `folder`."""


def _without_held_out(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a data-set file's values; `folds` of the command line replaces its `validation_per_class`."""
    return {
        key: value
        for key, value in values.items()
        if key != "validation_per_class" or overrides.get("folds") in (None, 0, "0")
    }


def _placed(values: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Return a data-set file's values; a relative `folder` may be relative to the working directory or to the file.

    Raises:
        UsageError: There are two such folders.
    """
    given = values.get("folder")
    if not isinstance(given, str) or not given or Path(given).expanduser().is_absolute():
        return dict(values)
    here, there = Path(given).absolute(), (beside / given).absolute()
    if here.is_dir() and there.is_dir() and not here.samefile(there):
        raise UsageError(
            f"`folder: {given}` may mean {here} (from the working directory) or {there} (from the data-set file); "
            "write the full path of one of them."
        )
    return {**values, "folder": str(there if there.is_dir() else here)}


def _absolute(values: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Return values whose paths do not depend on the working directory.

    A list file is searched in the working directory, below `folder` and next to the data-set file.

    Raises:
        UsageError: There are two such list files.
    """
    found = dict(values)
    if isinstance(found.get("folder"), str) and found["folder"]:
        found["folder"] = os.path.abspath(Path(found["folder"]).expanduser())
    for key in LISTS if found.get("source") == "lists" else LISTS[-1:]:
        given = found.get(key)
        if isinstance(given, str) and given:
            found[key] = _listed(key, Path(given).expanduser(), (Path(), Path(found.get("folder", "")), beside))
    return found


def _listed(key: str, given: Path, places: Sequence[Path]) -> str:
    """Return the path of a list file that is in one of some folders; below the second if it is in none."""
    candidates = [(place / given).absolute() for place in places]
    there = [path for path in candidates if path.is_file()]
    for other in there[1:]:
        if not other.samefile(there[0]):
            raise UsageError(f"`{key}: {given}` may mean {there[0]} or {other}; write the full path of one of them.")
    return str(there[0] if there else candidates[1])
