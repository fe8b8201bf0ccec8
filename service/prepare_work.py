"""What the preparing process does for a request: brings files from the storage, works, and keeps what it made."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.imports.fetch import fetch, time_limit
from service.imports.s3 import Bucket
from service.ingest import ingest_file
from service.making import making
from service.progress import SILENT, Progress
from service.resources import memory_limit, too_much_to_build
from service.sweep import sweep
from service.uris import rules_from_json
from workers.errors import DataError
from workers.matrix import request_from_json
from workers.matrix_build import build, kept_matrix
from workers.spec import JobSpec
from workers.start import write_start
from workers.storage import Storage

if TYPE_CHECKING:
    from service.scoring import Candidate

Message = dict[str, Any]


def work(message: Message, storage: Storage, progress: Progress = SILENT) -> dict[str, Any]:
    """The answer to a request, as `service.prepare` lists them; `progress` is told how far a dataset is."""
    match message["do"]:
        case "ingest":
            return _ingest(message, storage, progress)
        case "fetch":
            return _fetch(message, storage, progress)
        case "build":
            return _build(message, storage)
        case "drop":
            storage.drop(Path(message["path"]))
            return {}
        case "sweep":
            known = {place: set(names) for place, names in message["known"].items()}
            swept = sweep(storage, set(message["uploads"]), set(message["matrices"]), message["now"], known)
            return {"removed": len(swept)}
        case "measure" | "remember" | "score":
            return _compare(message, storage)
    raise ValueError(f"unknown request {message['do']!r}")


def _ingest(message: Message, storage: Storage, progress: Progress) -> dict[str, Any]:
    path, destination, limits = Path(message["path"]), Path(message["destination"]), message["limits"]
    with storage.hold(path), storage.hold(destination):
        with memory_limit(limits.get("memory_bytes")), making(destination.parent):
            found = ingest_file(path, message["options"], destination, limits, progress)
        storage.keep(destination)
    return found


def _fetch(message: Message, storage: Storage, progress: Progress) -> dict[str, Any]:
    destination = Path(message["destination"])
    storage.reach()  # before what is far away is fetched in vain
    with time_limit(message["limit_seconds"]):
        rules, s3 = rules_from_json(message["rules"]), Bucket(**message["s3"])
        fetched = fetch(message["uri"], rules, s3, message["limit_bytes"], destination, progress=progress)
    storage.keep(destination)
    return fetched._asdict()


def _build(message: Message, storage: Storage) -> dict[str, Any]:
    with storage.hold(Path(message["destination"])):
        matrix = _matrix(message, storage)
        storage.keep(Path(message["destination"]))
        if message["start"] is not None:
            _write_start(matrix, storage, **message["start"])
    return matrix


def _matrix(message: Message, storage: Storage) -> dict[str, Any]:
    """What describes the training matrix, which is here and held; where it was not, or was damaged, it is built."""
    destination, other = Path(message["destination"]), message.get("validation_directory")
    matrix = kept_matrix(destination)
    if matrix is None and storage.bring(destination):  # of a copy that was damaged, another one
        matrix = kept_matrix(destination)
    if matrix is not None:
        return matrix
    storage.drop(destination)
    own, validation = Path(message["dataset_directory"]), Path(other) if other else None
    directories = [directory for directory in (own, validation) if directory is not None]

    def built() -> dict[str, Any]:
        limit = memory_limit(message.get("memory_bytes"), too_much_to_build)
        with _held(storage, directories), limit, making(destination.parent):
            return build(own, request_from_json(message["request"]), destination, validation)

    return _with_fresh_copies(built, storage, directories)


@contextmanager
def _held(storage: Storage, paths: Iterable[Path]) -> Iterator[None]:
    """Those that the storage has are here, and stay here inside the block."""
    with ExitStack() as held:
        for path in paths:
            held.enter_context(storage.hold(path))
        yield


def _with_fresh_copies(
    built: Callable[[], dict[str, Any]], storage: Storage, directories: Sequence[Path]
) -> dict[str, Any]:
    """What `built` returns; once more with other copies of the directories, where one of them was damaged."""
    try:
        return built()
    except DataError as error:
        if error.code != "data_changed":
            raise
        are_copies = [storage.distrust(directory) for directory in directories]
        if not all(are_copies):
            raise
        return built()


def _write_start(
    matrix: dict[str, Any], storage: Storage, spec: dict[str, Any], source: str | None, destination: str
) -> None:
    model = None if source is None else Path(source)
    with _held(storage, [] if model is None else [model]):
        write_start(JobSpec.model_validate(spec), matrix, model, Path(destination))
    storage.keep(Path(destination))


def _compare(message: Message, storage: Storage) -> dict[str, Any]:
    # SciPy takes a second to import: whoever compares nothing does not wait for it.
    from service.scoring import Candidate, measure_data, reference_of, score  # noqa: PLC0415

    names = ("model", "challenger", "champion", "anchor")
    found = {name: Candidate.from_json(message[name]) for name in names if message.get(name) is not None}
    with _at_hand(storage, found.values()):
        if message["do"] == "remember":
            reference_of(found["model"])
            return {}
        if message["do"] == "measure":
            directory = Path(message["dataset_directory"])
            with storage.hold(directory):
                return measure_data(found["champion"], directory)
        matrix = Path(message["matrix_directory"])
        needed = [found["challenger"].dataset_directory, *([matrix] if message["linear"] else [])]
        with _held(storage, needed):
            return score(
                found["challenger"],
                found["champion"],
                found.get("anchor"),
                matrix,
                metric=message["metric"],
                confidence=message["confidence"],
                linear=message["linear"],
                seed=message["seed"],
            )


@contextmanager
def _at_hand(storage: Storage, candidates: "Iterable[Candidate]") -> Iterator[None]:
    """The models are here, and what is remembered of their data or that data; what is remembered anew is kept."""
    from service.scoring import reference_path  # noqa: PLC0415 - see `_compare`

    new = []
    with ExitStack() as held:
        for candidate in candidates:
            held.enter_context(storage.hold(candidate.model_directory))  # and with it what else there is of its job
            reference = reference_path(candidate.model_directory)
            if not storage.bring(reference):
                held.enter_context(storage.hold(candidate.dataset_directory))
                new.append(reference)
        yield
    for reference in new:
        if reference.exists():
            storage.keep(reference)
