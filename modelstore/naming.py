"""Tensors named after columns, whatever a column is called. skl2onnx knows only names as in C, and uses some of them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

PREFIX: Final = "column_"


def encode(column: str) -> str:
    """A name as skl2onnx leaves it alone; nothing else in a graph is called so."""
    return PREFIX + column.encode().hex()


def decode(name: str) -> str:
    """The column of an encoded name; other names as they are."""
    return bytes.fromhex(name.removeprefix(PREFIX)).decode() if is_encoded(name) else name


def is_encoded(name: str) -> bool:
    """Whether `encode` made it."""
    digits = name.removeprefix(PREFIX)
    return name.startswith(PREFIX) and len(digits) % 2 == 0 and set(digits) <= set("0123456789abcdef")


def restore(graph: Any) -> None:
    """Give the inputs of a graph their columns' names, in place. What was called like a column makes room."""
    plain = {one.name for one in graph.input if not is_encoded(one.name)}
    taken = {decode(one.name) for one in graph.input}
    every = set(_names(graph)) | taken

    def name(old: str) -> str:
        if is_encoded(old):
            return decode(old)
        if old in plain:  # a column whose name skl2onnx left alone
            return old
        new = old
        while new in taken or (new != old and new in every):
            new += "_"
        return new

    _rename(graph, name)


def _names(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield from node.output
        for inner in _subgraphs(node):
            yield from _names(inner)
    yield from (tensor.name for tensor in graph.initializer)


def _rename(graph: Any, name: Callable[[str], str]) -> None:
    for one in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        one.name = name(one.name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name(old) if old else old for old in names]
        for inner in _subgraphs(node):
            _rename(inner, name)


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
