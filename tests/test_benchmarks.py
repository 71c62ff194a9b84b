"""Benchmarks: the pure measures and the page; how well realdrag does is not tested here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.__main__ import QUALITY, find_benchmarks, main
from benchmarks.distinctness import DISTANCE, points_on
from benchmarks.draggan import PaperSettings, drag
from benchmarks.drags import FACE, SHAPES, region_of, standard_drags
from benchmarks.flow import flow_between, from_512, moves_at, passes_check, to_512
from benchmarks.frechet import frechet_distance, frechet_mean
from benchmarks.inversions import dev_photos
from benchmarks.measures import measure, summary
from benchmarks.methods import DragResult, stay
from benchmarks.report import Stored, load, provenance, store, write_page
from benchmarks.section import Mean, Options, Section, SectionSkipped, Table, mean_of
from benchmarks.there_and_back import there_and_back
from drag.points import DragPoint
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.images import to_tensor
from stylegan2.latents import to_ws
from tests.factories import tiny_generator
from tests.literal_draggan import literal_drag


def stored(name: str, figure: float) -> Stored:
    table = Table("How far", ("method", "px"), (("default", Mean(figure, 0.25, 7)), ("none", 3)))
    section = Section(name, f"About {name}", ("Words.",), (table,), (f"{name}.png",), {"x": [1.5]})
    facts = provenance(
        quick=True, samples=None, seed=3, network="embedded", device="cpu", seconds=12.0
    )
    return Stored(section, facts)


def test_a_stored_section_is_read_back_as_it_was(tmp_path: Path) -> None:
    section = stored("paired", 2.5)
    assert load(store(section, tmp_path)) == section


def test_running_one_benchmark_again_replaces_only_its_section(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    results = tmp_path / "results"
    for section in (stored("paired", 2.5), stored("speed", 7.5)):
        store(section, results)
    write_page(results, page, ("paired",))
    first = page.read_text()
    assert first.index("## About paired") < first.index("## About speed")
    assert "| default | 2.50 ± 0.25 |" in first
    assert "![About speed](results/speed.png)" in first

    store(stored("paired", 4.5), results)
    write_page(results, page, ("paired",))
    assert page.read_text() == first.replace("2.50 ± 0.25", "4.50 ± 0.25")


def test_samples_bound_the_full_form_and_the_page_says_so(tmp_path: Path) -> None:
    full = Options(False, 1, "embedded", None, "cpu", tmp_path, tmp_path, print, samples=6)
    assert (full.number(3, 40), full.number(3, 4)) == (6, 4)
    assert options(tmp_path).number(3, 40) == 3
    facts = provenance(
        quick=False, samples=6, seed=1, network="embedded", device="cpu", seconds=1.0
    )
    store(Stored(Section("paired", "Pairs"), facts), tmp_path / "results")
    write_page(tmp_path / "results", tmp_path / "RESULTS.md", ("paired",))
    page = (tmp_path / "RESULTS.md").read_text()
    assert "full, at most 6 samples" in page
    assert "`python -m benchmarks paired --samples 6`" in page


def test_a_figure_that_is_not_a_number_survives_as_none(tmp_path: Path) -> None:
    section = Section("one", "One", raw={"error": math.nan, "list": [math.inf, 1.0]})
    back = load(store(Stored(section, {}), tmp_path))
    assert back.section.raw == {"error": None, "list": [None, 1.0]}


def test_a_mean_shows_as_many_digits_as_its_error_bears_out() -> None:
    assert str(Mean(12.3456, 0.4321, 9)) == "12.35 ± 0.43"
    assert str(Mean(1234.5, 51.0, 9)) == "1234 ± 51"
    assert str(mean_of([0.5])) == "0.500"
    assert str(mean_of([])) == "-"
    assert mean_of([1, 2, 3]).error == pytest.approx(1 / math.sqrt(3))


def test_a_table_whose_row_does_not_fit_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under a header of 2"):
        Table("How far", ("method", "px"), (("default",),))


def test_every_quality_measure_is_found_and_comes_first() -> None:
    found = find_benchmarks()
    assert found[: len(QUALITY)] == QUALITY
    assert not {"__main__", "report", "flow"} & set(found)


def options(folder: Path, faces: Path | None = None) -> Options:
    return Options(True, 1, "embedded", faces, "cpu", folder / "work", folder, print)


def test_without_photos_a_section_is_skipped_and_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SectionSkipped, match="--faces FOLDER"):
        next(dev_photos(None, 128))
    with pytest.raises(SectionSkipped, match="dev_landmarks.npz is not there"):
        next(dev_photos(tmp_path, 128))


def test_a_failing_benchmark_does_not_stop_the_others_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: Options) -> Section:
        raise RuntimeError("no such luck")

    modules = {
        "benchmarks.paired": SimpleNamespace(run=fails),
        "benchmarks.landmarks": SimpleNamespace(run=lambda _: Section("landmarks", "Fine")),
    }
    monkeypatch.setattr("benchmarks.__main__.import_module", modules.__getitem__)
    monkeypatch.setattr("benchmarks.__main__.RESULTS", tmp_path / "results")
    monkeypatch.setattr("benchmarks.__main__.PAGE", tmp_path / "RESULTS.md")
    monkeypatch.chdir(tmp_path)
    assert main(["paired", "landmarks", "--quick"]) == 1
    told = capsys.readouterr()
    assert "no such luck" in told.err
    assert "failed: paired" in told.out
    assert "## Fine" in (tmp_path / "RESULTS.md").read_text()


# --------------------------------------------------------------------------- flow


def texture(seed: int = 0) -> UInt8Image:
    """Make a smooth random picture [128, 128, 3]."""
    noise = np.random.default_rng(seed).normal(size=(128, 128)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = ((smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def shifted(picture: UInt8Image, x: float, y: float) -> UInt8Image:
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return np.asarray(cv2.warpAffine(picture, matrix, (128, 128), flags=cv2.INTER_CUBIC), np.uint8)


def test_a_shifted_picture_is_seen_to_have_moved_by_the_shift() -> None:
    picture = texture()
    flow = flow_between(picture, shifted(picture, 3.0, -2.0))
    places = to_512(np.array([[40.0, 50.0], [64.0, 64.0], [90.0, 80.0]]), 128)
    np.testing.assert_allclose(moves_at(flow, places) / 4, [[3.0, -2.0]] * 3, atol=0.15)


def test_the_flow_to_another_picture_does_not_pass_the_check() -> None:
    same = flow_between(texture(0), texture(0)).checked.mean()
    other = flow_between(texture(0), texture(1)).checked.mean()
    assert same == 1.0
    assert other < 0.6


def test_the_check_wants_the_way_back_to_undo_the_way_there() -> None:
    there = np.zeros((20, 20, 2), np.float32)
    there[..., 0] = 4.0
    assert passes_check(there, -there)[:, :16].all()
    assert not passes_check(there, -there)[:, 16:].any(), "beyond the picture nothing is known"
    assert not passes_check(there, there).any()


def test_positions_in_512_pixels_are_turned_back() -> None:
    assert to_512(np.array([[0.0, 127.0]]), 128).tolist() == [[1.5, 509.5]]
    assert from_512(to_512(np.array([[3.25, 90.0]]), 128), 128).tolist() == [[3.25, 90.0]]


def test_pixels_that_went_half_way_are_measured_so_whatever_the_handles_say() -> None:
    picture = texture()
    moved = to_tensor(shifted(picture, 2.0, 0.0))
    points = [DragPoint((60.0, 60.0), (64.0, 60.0)), DragPoint((80.0, 60.0), (84.0, 60.0))]
    result = DragResult(torch.empty(0), moved, ((64.0, 60.0), (83.0, 60.0)), 9, "arrived", 0.5)
    measured = measure(to_tensor(picture), result, points)
    assert measured.wanted == 16.0
    assert measured.remaining == 2.0
    assert measured.pixel_error == pytest.approx(8.0, abs=0.6)
    assert measured.followed == pytest.approx(0.5, abs=0.04)
    assert (measured.seen, measured.arrived, measured.steps) == (1.0, 1.0, 9.0)


# --------------------------------------------------------------------------- Frechet distance


def test_the_frechet_distance_of_two_gaussians_is_the_formula_with_matrix_roots() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4)) + 1.0
    b = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4))

    def root(matrix: Float64Array) -> Float64Array:
        values, vectors = np.linalg.eigh(matrix)
        whole: Float64Array = vectors * np.sqrt(values.clip(0)) @ vectors.T
        return whole

    first, second = np.cov(a.T), np.cov(b.T)
    half = root(first)
    cross = np.trace(root(half @ second @ half))
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(wanted)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)


def test_the_frechet_distance_of_more_dimensions_than_samples_is_finite() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 40)), rng.normal(size=(8, 40))
    found = frechet_mean(a, b)
    assert found.n == 5
    assert found.mean == frechet_distance(a, b) > 0
    assert 0 < found.error < found.mean


# --------------------------------------------------------------------------- methods


def test_the_baseline_is_the_written_out_paper_step_for_step() -> None:
    generator = tiny_generator(64)
    ws = to_ws(torch.randn(1, 16, generator=torch.Generator().manual_seed(2)), generator.num_ws)
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[8:56, 8:40] = True
    points = [DragPoint((20.0, 30.0), (26.0, 28.0)), DragPoint((40.5, 12.0), (44.0, 20.0))]
    made = drag(generator, ws, None, points, mask, PaperSettings(steps=3))
    *_, last = literal_drag(
        generator,
        ws,
        None,
        [point.handle for point in points],
        [point.target for point in points],
        3,
        movable_mask=mask,
    )
    assert made.steps == 3
    assert not torch.equal(made.ws, ws)
    torch.testing.assert_close(made.ws, last.ws, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.handles, last.handles, atol=1e-4)


def test_without_tracking_the_handles_are_taken_to_follow_and_so_always_arrive() -> None:
    generator = tiny_generator(64)
    ws = to_ws(torch.randn(1, 16, generator=torch.Generator().manual_seed(2)), generator.num_ws)
    points = [DragPoint((20.0, 30.0), (21.0, 30.0))]
    made = drag(generator, ws, None, points, None, PaperSettings(tracking=False))
    assert made.arrived
    assert made.steps == 7  # 8 pixels of 512, one at a time; the tolerance is one
    np.testing.assert_allclose(made.handles, [(20.875, 30.0)], atol=1e-4)


def test_a_drag_in_w_moves_all_layers_alike() -> None:
    generator = tiny_generator(64)
    ws = to_ws(torch.randn(1, 16, generator=torch.Generator().manual_seed(2)), generator.num_ws)
    points = [DragPoint((20.0, 30.0), (30.0, 30.0))]
    made = drag(generator, ws, None, points, None, PaperSettings(space="w", steps=3))
    change = made.ws - ws
    assert change.abs().max() > 0
    torch.testing.assert_close(change, change[:, :1].expand_as(change))


def test_staying_leaves_everything_where_it_was() -> None:
    generator = tiny_generator(32)
    ws = to_ws(torch.randn(1, 16, generator=torch.Generator().manual_seed(2)), generator.num_ws)
    made = stay(generator, ws, None, [DragPoint((3.0, 4.0), (9.0, 9.0))], None)
    assert made.handles == ((3.0, 4.0),)
    assert torch.equal(made.picture, generator.synthesis(ws))


def test_the_way_back_starts_where_the_handles_arrived_and_ends_where_they_began() -> None:
    calls: list[tuple[Tensor, tuple[DragPoint, ...]]] = []

    def method(
        generator: Generator,
        ws: Tensor,
        noise_consts: NoiseConsts | None,
        points: Sequence[DragPoint],
        movable_mask: Tensor | None,
    ) -> DragResult:
        calls.append((ws, tuple(points)))
        return DragResult(ws + 1, torch.empty(0), ((7.0, 4.0), (40.0, -3.0)), 5, "arrived", 0.1)

    ws = torch.zeros(1, 2, 3)
    points = (DragPoint((3.0, 4.0), (8.0, 4.0)), DragPoint((5.0, 6.0), (30.0, 0.0)))
    there, back = there_and_back(method, tiny_generator(32), ws, points, None)
    assert calls[0] == (ws, points)
    assert calls[1][0] is there.ws
    assert calls[1][1] == (
        DragPoint((7.0, 4.0), (3.0, 4.0)),
        DragPoint((31.5, -0.5), (5.0, 6.0)),  # as near as the picture goes
    )
    assert torch.equal(back.ws, ws + 2)


def test_figures_that_were_not_seen_are_left_out_of_the_mean() -> None:
    picture = to_tensor(texture())
    points = [DragPoint((60.0, 60.0), (64.0, 60.0))]
    seen = DragResult(torch.empty(0), picture, ((64.0, 60.0),), 10, "arrived", 0.5)
    other = to_tensor(texture(1))
    unseen = DragResult(torch.empty(0), other, ((60.0, 60.0),), 20, "no_progress", 0.5)
    drags = [measure(picture, seen, points), measure(picture, unseen, points)]
    assert math.isnan(drags[1].pixel_error)
    figures = summary(drags)
    assert figures["pixel error"].n == 1
    assert figures["pixel error"].mean == pytest.approx(16.0)
    assert (figures["arrived"].mean, figures["steps"].mean, figures["seen"].mean) == (0.5, 15, 0.5)


# --------------------------------------------------------------------------- standard drags

FIVE = np.array([[48.0, 60.0], [78.0, 60.0], [63.0, 80.0], [51.0, 93.0], [76.0, 93.0]])


def test_standard_drags_turn_with_the_face() -> None:
    upright = standard_drags(FIVE, 128)
    assert [drag.name for drag in upright] == list(SHAPES)
    (turn,) = upright[0].points
    assert turn == DragPoint((63.0, 80.0), (69.0, 80.0))

    lying = standard_drags(np.stack([127 - FIVE[:, 1], FIVE[:, 0]], axis=1), 128)
    for before, after in zip(upright, lying, strict=True):
        for a, b in zip(before.points, after.points, strict=True):
            assert b.handle == pytest.approx((127 - a.handle[1], a.handle[0]))
            assert b.target == pytest.approx((127 - a.target[1], a.target[0]))


def test_every_masked_drag_lies_inside_its_mask_and_change_is_expected_there() -> None:
    for each in standard_drags(FIVE, 128):
        for point in each.points:
            for x, y in (point.handle, point.target):
                assert bool(each.region[round(y), round(x)]), each.name
        assert each.movable_mask is None or torch.equal(each.movable_mask, each.region)


def test_a_drag_that_would_leave_the_picture_is_left_out() -> None:
    names = [drag.name for drag in standard_drags(FIVE + (0.0, 20.0), 128)]
    assert "jaw" not in names
    assert "brows up" in names


def test_a_faces_region_is_a_circle_of_its_size() -> None:
    region = region_of(FACE, FIVE, 128)
    rows, columns = region.nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) == pytest.approx(2 * 1.7 * 30, abs=1)
    assert float(columns.double().mean()) == pytest.approx(63.0)


def test_handles_all_over_a_face_are_dragged_by_the_same_way_inside_the_picture() -> None:
    five = np.array([[40, 50], [88, 50], [64, 70], [46, 90], [1, 127]], np.float64)
    points = points_on(five, 128, np.random.default_rng(0), 40)
    assert len(points) >= 44
    for point in points:
        assert math.dist(point.handle, point.target) == pytest.approx(DISTANCE / 4)
        assert all(0 <= value <= 127 for value in (*point.handle, *point.target))
