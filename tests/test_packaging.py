"""The recipe of the conda package asks for what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "lightning-fabric": "pytorch-lightning"}
"""Names on PyPI -> on conda-forge, where they differ."""


def test_the_conda_recipe_follows_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text()
    wanted = [f"python {project['requires-python']}"]
    for text in project["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", text).groups()
        wanted.append(f"{NAMES.get(name, name)} {bound}")
    run = recipe.partition("  run:\n")[2].partition("\ntests:")[0]
    assert re.findall(r"^    - ([\w-]+ >=[\d.]+)", run, re.M) == wanted
    assert f'version: "{project["version"]}"' in recipe
    for name, target in project["scripts"].items():
        assert f"entry_points: [{name} = {target}]" in recipe
    assert f"license: {project['license']}\n" in recipe
