"""A container of modules whose names may be any text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from tuplet.types import InputError


class Named(nn.Module):
    """Modules by name, as `torch.nn.ModuleDict`, but any text is a name: ``"a.b"``, ``"values"``, ``"left/hand"``.

    Args:
        modules: name -> module.

    Raises:
        InputError: for a name that is empty or holds control characters.

    Notes:
        Keys of the state dict are the names themselves, except where PyTorch could not tell them from a path or from an
        attribute: there ``%`` and ``.`` are written as in a URL, and a ``%`` comes before the name of an attribute.

    Example:
        >>> towers = Named({"left.hand": nn.Linear(2, 1), "values": nn.Identity()})
        >>> list(towers), list(towers.state_dict())
        (['left.hand', 'values'], ['left%2Ehand.weight', 'left%2Ehand.bias'])
    """

    def __init__(self, modules: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}
        for name, module in (modules or {}).items():
            self[name] = module

    def __getitem__(self, name: str) -> nn.Module:
        module = self._modules[self._keys[name]]
        assert module is not None
        return module

    def __setitem__(self, name: str, module: nn.Module) -> None:
        if not isinstance(name, str) or not name or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name):
            raise InputError(f"a modality is called {name!r}, expected text that is not empty, without control characters")
        if not isinstance(module, nn.Module):
            raise InputError(f"the module of {name!r} is a {type(module).__name__}, expected a torch.nn.Module")
        self._keys[name] = _key(name)
        self.add_module(_key(name), module)

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        """Return the names, in the order in which they were given."""
        return list(self._keys)

    def values(self) -> list[nn.Module]:
        """Return the modules, in the order of their names."""
        return [self[k] for k in self._keys]

    def items(self) -> list[tuple[str, nn.Module]]:
        """Return names and modules."""
        return [(k, self[k]) for k in self._keys]


def _key(name: str) -> str:
    """Write a name so that PyTorch takes it as the name of a module; different names stay different."""
    key = name.replace("%", "%25").replace(".", "%2E")
    return f"%{key}" if key in _TAKEN else key


_TAKEN = frozenset(dir(nn.Module())) | frozenset(dir(Named)) | {"_keys"}
