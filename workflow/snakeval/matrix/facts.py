"""Facts about a run that its configuration does not contain: pins, and digests of weights.

A run that starts resolves what is missing. Everything else, such as a dry run, uses what the run
and the caches know, sends nothing and reads no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from snakeval.config import models
from snakeval.config.member_names import series_of
from snakeval.errors import ConfigError, EvaluationError
from snakeval.files import DAMAGE, read_state, read_text, yaml_value
from snakeval.run import pins
from snakeval.run.directory import RunDirectory
from snakeval.run.pins import Pin, Pins, resolve_all, resolve_image, resolve_model
from snakeval.series.look import Looked
from snakeval.serving import adapters, weights
from snakeval.serving.deployment import Deployment
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.resolve import Resolved, image_of, resolve
from snakeval.serving.sampled_weights import sampled as sampled_digest
from snakeval.serving.unswapped import rest_of

#: The text of a dry run in the place of a digest.
NOT_HASHED = "not hashed yet"
#: An image that `runtime: auto` starts only if an engine has it: no registry is asked for it.
LOCAL_ONLY = "no engine of this machine has it"
_EARLIER = "an earlier version of snakeval started the run"


class Weights(NamedTuple):
    """The weights of a deployment.

    Attributes:
        digest: of what a server loads; empty if it is not known yet.
        stat: digest of names, sizes and times of change, by which jobs recognise the files.
        sampled: returns the digest of format 1.
    """

    digest: str
    stat: str
    sampled: Callable[[], str]


class Facts:
    """Pins and digests of *run*, which may not exist yet.

    Attributes:
        starts: whether the run starts, so that missing facts are worth their price.
        reads: whether weights whose digest is not kept may be read.
        origin: a run whose answers this run scores again. Its pins count, and its weights.
        looked: the weights of checkpoints of series, at which the command has looked.
        unhashed: checkpoints that are not hashed yet, by the deployment's name.
        snapshots: the directories of benchmarks' files, by their digest.
    """

    def __init__(
        self,
        run: RunDirectory | None = None,
        *,
        starts: bool = False,
        reads: bool = False,
        update_images: bool = False,
        local: Callable[[str], str | None] = lambda image: None,
        origin: RunDirectory | None = None,
        looked: Mapping[str, Looked] = MappingProxyType({}),
    ) -> None:
        self._run, self.starts, self._local = run, starts, local
        self.origin, self._looked = origin, looked
        self.reads = reads or starts
        self._renew = update_images and starts
        self.unhashed: dict[str, str] = {}
        self.snapshots: dict[str, str] = {}
        self._wanted: dict[str, tuple[str, str]] = {}
        self._handles: set[str] = set()

    # --- pins -------------------------------------------------------------------------------

    @cached_property
    def _saved(self) -> Pins:
        run = self._run
        if self.origin is not None and (run is None or not run.pins.exists()):
            run = self.origin
        if run is None or not run.exists:
            return pins.NONE
        path = run.pins
        try:
            found = read_state(path, Pins.from_dict)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
        return found if found is not None else _of_earlier_version(run)

    def want_image(self, key: str, image: str, unused: str = "") -> None:
        """Announce an image, so that all are resolved at once.

        *unused* is the reason why no runtime starts it, if that is known.
        """
        if image:
            self._wanted.setdefault(key, (image, unused))

    def want_model(self, handle: str) -> None:
        """Announce a model on the hub."""
        if handle:
            self._handles.add(handle)

    @cached_property
    def pins(self) -> Pins:
        """The pins of the run with those that it gets if it starts now."""
        images, models = dict(self._saved.images), dict(self._saved.models)
        if not self.starts:
            return Pins(images, models)
        missing = {k: v for k, v in self._wanted.items() if k not in images or self._renew}
        found = resolve_all(missing.values(), self._resolved)
        images |= {key: found[wanted] for key, wanted in missing.items()}
        handles = [h for h in sorted(self._handles) if h not in models or self._renew]
        return Pins(images, models | resolve_all(handles, resolve_model))

    def _resolved(self, wanted: tuple[str, str]) -> Pin:
        image, unused = wanted
        if (unused == LOCAL_ONLY and self._local(image) is None) or unused not in ("", LOCAL_ONLY):
            return Pin(image, why=unused)
        return resolve_image(image, self._local)

    def image(self, key: str, image: str) -> Pin:
        """Return the pin of an image, or its name alone."""
        return self.pins.images.get(key) or Pin(image)

    def model(self, handle: str) -> Pin:
        """Return the pin of a model on the hub, or its handle alone."""
        return self.pins.models.get(handle) or Pin(handle)

    @property
    def new_pins(self) -> Mapping[str, Pin]:
        """The pins that the run did not have before, by what they are of."""
        before, now = self._saved, self.pins
        return {
            name: pin
            for old, new in ((before.images, now.images), (before.models, now.models))
            for name, pin in new.items()
            if old.get(name) != pin
        }

    def save(self) -> None:
        """Save the pins in the run."""
        if self._run is not None:
            self._run.write_pins(self.pins.to_json())

    def deployment(
        self, name: str, spec: models.Deployment, network: str, runtime: str
    ) -> tuple[Deployment, Callable[[], str]]:
        """Return the deployment of the model *name*, and its weights' digest of format 1.

        Raises:
            ConfigError: its weights cannot be read.
        """
        found, by_stat = Weights("", "", str), spec.weights_digest == "stat"
        if spec.checkpoint_path:
            found = self.weights(name, spec.checkpoint_path, by_stat=by_stat)
        resolved = Resolved(
            self.image(*image_of(spec)),
            self.model(spec.hf_model_handle or "").digest,
            found.digest,
            found.stat,
        )
        if spec.adapter_path:
            adapter = self.weights(name, spec.adapter_path, by_stat=by_stat)
            rank = adapters.rank(Path(spec.adapter_path))
            resolved = replace(
                resolved, adapter_digest=adapter.digest, adapter_stat=adapter.stat, rank=rank
            )
        elif spec.swap and spec.checkpoint_path:
            resolved = replace(resolved, rest=rest_of(Path(spec.checkpoint_path)))
        made = resolve(name, spec, network, runtime, resolved)
        return made, found.sampled

    def files(self, directory: str, digest: str) -> str:
        """Return where harnesses read the files of a benchmark: a snapshot in a run that starts."""
        if self._run is None or not self.starts:
            return directory
        self.snapshots[digest] = directory
        return str(self._run.snapshot(digest).absolute())

    # --- weights ----------------------------------------------------------------------------

    def weights(self, name: str, checkpoint: str, *, by_stat: bool) -> Weights:
        """Return what is known of the weights of the deployment *name*.

        Raises:
            ConfigError: they cannot be read.
        """
        place = Path(checkpoint)
        if self.origin is not None:
            known, seen = self._planned(name, checkpoint)
            if known:
                return Weights(known, seen, str)
        if (looked := self._looked.get(name)) is not None and looked.path == checkpoint:
            if not looked.digest:
                self.unhashed[name] = checkpoint
            return Weights(looked.digest, looked.stat, str)
        try:
            stat = weights.by_stat(weights.files_of(place))
        except ConfigError:
            if not series_of(name):
                raise
            # It was deleted. Its evaluations that finished keep their definition.
            was = self._run.read_series().get(name) if self._run is not None else None
            if was and was.path != checkpoint:  # it is the base model of adapters
                raise
            return Weights(was.digest, was.stat, str) if was else Weights("", "", str)

        def sampled() -> str:
            found = sampled_digest(place, read=self.reads)
            return found if found is not None else self._planned(name, checkpoint)[0]

        if by_stat:
            return Weights(f"stat:{stat}", stat, sampled)
        if self.reads:
            return Weights(weights.weigh(place, name=name), stat, sampled)
        if (found := weights.known(place)) is not None:
            return Weights(found, stat, sampled)
        planned, then = self._planned(name, checkpoint)
        if then != stat:
            self.unhashed[name] = checkpoint
        # Without a digest, the one of the plan lists no rerun for that reason alone.
        return Weights(planned, stat, sampled)

    def _planned(self, name: str, checkpoint: str) -> tuple[str, str]:
        """Return the digest of weights and of their state by the run's plan, or two empty texts."""
        run = self.origin or self._run
        if run is None or not run.exists:
            return "", ""
        plan = DeploymentDirectory.of(run, name).known_plan()
        if plan is None:
            return "", ""
        deployment, loading = plan.deployment, plan.deployment.serving.loading
        if loading is not None and loading.path == checkpoint:
            return deployment.definition.adapter_digest, loading.stat
        if deployment.serving.checkpoint_path != checkpoint:
            return "", ""
        return deployment.definition.checkpoint_digest, deployment.serving.weights_stat


#: The facts without a run: only kept digests of weights.
NOTHING = Facts()


def _of_earlier_version(run: RunDirectory) -> Pins:
    """Return the default images of a run that has no pins: those of the catalogue at its start."""
    try:
        saved = yaml_value(read_text(run.config))
        benchmarks = saved["benchmarks"]
        deployed = {**saved["models"], **saved.get("auxiliary", {})}
    except (OSError, *DAMAGE):
        return pins.NONE
    images: dict[str, Pin] = {}
    for benchmark, spec in benchmarks.items():
        if (spec or {}).get("image"):
            continue
        for model in saved["models"]:
            try:
                identity = run.evaluation(f"{model}/{benchmark}").read_evaluation().identity
            except EvaluationError:
                continue
            if identity.image:
                images[pins.key_of(None, identity.harness)] = Pin(identity.image, why=_EARLIER)
            break
    for name, model in deployed.items():
        plan = DeploymentDirectory.of(run, name).known_plan()
        if plan is not None and not model["deployment"].get("image"):
            definition = plan.deployment.definition
            if definition.image:
                key = pins.key_of(None, f"deployment {definition.kind}")
                images[key] = Pin(definition.image, why=_EARLIER)
    return Pins(images, {})
