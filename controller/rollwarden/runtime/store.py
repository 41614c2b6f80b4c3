"""The informer's local copy: objects by key, with indexes. Safe to read from any thread.

Not here: where the objects come from (`informer.py`).
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Store(Generic[K, T]):
    """Objects by key. `indexers` maps the name of an index to the values an object is found under in it.

    The objects are shared, not copied: they must be immutable, and an indexer must always find the same values in one.
    """

    def __init__(self, indexers: Mapping[str, Callable[[T], Iterable[Hashable]]]) -> None:
        self._lock = threading.Lock()
        self._objects: dict[K, tuple[str, T]] = {}
        self._indexers = dict(indexers)
        # index -> value -> keys; the inner dict is used as a set that keeps the order of arrival
        self._indexes: dict[str, dict[Hashable, dict[K, None]]] = {name: {} for name in self._indexers}

    def get(self, key: K) -> T | None:
        """The object of that key, None if there is none."""
        with self._lock:
            held = self._objects.get(key)
            return held[1] if held else None

    def version(self, key: K) -> str | None:
        """The resource version of the object held, None if there is none."""
        with self._lock:
            held = self._objects.get(key)
            return held[0] if held else None

    def keys(self) -> list[K]:
        """All keys now."""
        with self._lock:
            return list(self._objects)

    def items(self) -> list[T]:
        """All objects now."""
        with self._lock:
            return [held for _, held in self._objects.values()]

    def by_index(self, index: str, value: Hashable) -> list[T]:
        """The objects found under `value`. KeyError if there is no such index."""
        with self._lock:
            return [self._objects[key][1] for key in self._indexes[index].get(value, ())]

    def put(self, key: K, version: str, new: T) -> T | None:
        """Hold `new`; returns the object held before. What an indexer raises leaves the store as it was."""
        values = self._values(new)
        with self._lock:
            old = self._remove(key)
            self._objects[key] = (version, new)
            for name, value in values:
                self._indexes[name].setdefault(value, {})[key] = None
            return old

    def remove(self, key: K) -> T | None:
        """Forget the object of that key; returns it, None if there was none."""
        with self._lock:
            return self._remove(key)

    def _values(self, item: T) -> list[tuple[str, Hashable]]:
        return [(name, value) for name, indexer in self._indexers.items() for value in set(indexer(item))]

    def _remove(self, key: K) -> T | None:
        held = self._objects.pop(key, None)
        if held is None:
            return None
        for name, value in self._values(held[1]):
            keys = self._indexes[name][value]
            del keys[key]
            if not keys:
                del self._indexes[name][value]
        return held[1]
