"""The networks in the package: listed in one place, small, and known under their old names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data
from skimage.io import imread, imsave

from pipeline.failures import BAD_INPUT
from pipeline.machine.bench import Bench
from stylegan2 import embedded
from stylegan2.checkpoint import WeightsInvalid, load_generator, weights_hash
from stylegan2.embedded import EMBEDDED, EMBEDDED_NETWORKS, EmbeddedNetwork, embedded_network
from tests.conftest import Run

HERE = Path(__file__).parent.parent
MOST_MEBIBYTES = 40
EARLIER = EMBEDDED_NETWORKS[1]


@pytest.mark.parametrize("network", EMBEDDED_NETWORKS, ids=lambda network: network.name)
def test_every_listed_network_is_what_the_list_says(network: EmbeddedNetwork) -> None:
    generator = load_generator(network.path)
    assert weights_hash(generator) == network.weights
    assert generator.resolution == network.resolution


def test_all_weights_in_the_package_take_at_most_forty_mebibytes() -> None:
    packages = [HERE / name for name in ("stylegan2", "inversion", "pti", "drag", "pipeline")]
    files = [path for folder in packages for path in folder.rglob("weights/*.safetensors")]
    assert len(files) >= 4
    assert sum(path.stat().st_size for path in files) <= MOST_MEBIBYTES * 2**20


def test_a_name_with_the_weights_of_an_earlier_version_means_that_versions_network() -> None:
    assert embedded_network(EMBEDDED) is EMBEDDED_NETWORKS[0]
    assert embedded_network(EMBEDDED, EARLIER.weights) is EARLIER
    assert embedded_network(EMBEDDED, "of no embedded network") is EMBEDDED_NETWORKS[0]
    assert embedded_network("ffhq-1024", EARLIER.weights) is None
    bench = Bench("cpu")
    assert bench.generator(EMBEDDED, EARLIER.weights).resolution == EARLIER.resolution
    assert bench.generator(EMBEDDED).resolution == EMBEDDED_NETWORKS[0].resolution
    with pytest.raises(WeightsInvalid, match="run invert again"):
        bench.generator(EMBEDDED, "of no embedded network")


def test_a_workspace_of_an_earlier_version_is_tuned_and_dragged_with_its_own_network(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    imsave(tmp_path / "photo.png", data.astronaut()[:300, 100:400])
    quick = ["--device", "cpu", "--steps", "2"]
    with monkeypatch.context() as before:
        earlier = EmbeddedNetwork(EMBEDDED, "", EARLIER.file, EARLIER.resolution, EARLIER.weights)
        before.setattr(embedded, "EMBEDDED_NETWORKS", (earlier,))
        made = run(["invert", "photo.png", *quick, "--perceptual", "offline", "--start", "mean"])
        assert made.code == 0, made.err
    for command in (["tune", *quick], ["drag", *quick, "-p", "150,150:155,150"]):
        done = run(command)
        assert done.code == 0, done.err
    assert (tmp_path / "photo.realdrag" / "result.png").exists()


def test_an_edit_asks_the_encoder_alone_where_to_begin(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    imsave(tmp_path / "photo.png", data.astronaut()[:300, 100:400])
    point = ["-p", "125,126:119,126", "--device", "cpu"]
    done = run(["edit", "photo.png", *point, "--drag-steps", "2"])
    assert done.code == 0, done.err
    workspace = tmp_path / "photo.realdrag"
    made = {path.name.partition("-")[0] for path in (workspace / "artifacts").iterdir()}
    assert made == {"align", "drag", "result"}
    result, photo = (imread(path) for path in (workspace / "result.png", tmp_path / "photo.png"))
    assert np.abs(result[126, 119].astype(int) - photo[126, 125]).max() < 12
    again = run(["drag", *point, "--steps", "1"])
    assert again.code == 0, again.err
    refused = run(["drag", *point, "--paste", "network"])
    assert refused.code == BAD_INPUT
    assert "realdrag invert" in refused.err
