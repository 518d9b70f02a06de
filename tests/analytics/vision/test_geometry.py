"""Boxes and crops, at the borders as well."""

import numpy as np
import pytest

from analytics.vision.geometry import Region, crop, fit, overlap, suppress


def test_suppression_keeps_the_best_of_what_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]], np.float32)
    assert suppress(boxes, np.array([0.8, 0.9, 0.5], np.float32), 0.4).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.8, 0.9, 0.5], np.float32), 0.9).tolist() == [1, 0, 2]
    assert suppress(boxes[:0], np.zeros(0, np.float32), 0.4).tolist() == []


def test_boxes_without_area_overlap_nothing() -> None:
    boxes = np.array([[5, 5, 5, 5], [5, 5, 5, 5]], np.float32)
    assert suppress(boxes, np.array([0.9, 0.8], np.float32), 0.4).tolist() == [0, 1]


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(Region(0, 0, 2, 2), Region(1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap(Region(0, 0, 2, 2), Region(2, 0, 4, 2)) == 0
    assert overlap(Region(0, 0, 2, 2), Region(0, 0, 2, 2)) == 1


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (64, 64), (1, 1), (1, 500), (500, 1)])
def test_points_of_a_fitted_picture_come_back(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    fitted = fit(image, 192, 7)
    assert fitted.image.shape == (192, 192, 3)
    corner = np.array([[0, 0], [shape[1], shape[0]]], np.float32)
    there = corner * fitted.scale + np.array([fitted.left, fitted.top], np.float32)
    assert fitted.back(there) == pytest.approx(corner, abs=1e-3)
    if shape == (90, 160):
        assert (fitted.image[:40] == 7).all()
        assert (fitted.image[50:140] == 200).all()


def test_crop_repeats_the_border() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, 0] = 255
    found = crop(image, Region(-10, 0, 10, 10), (20, 10))
    assert (found[:, :10] == 255).all()
    assert (found[:, 12:] == 0).all()


@pytest.mark.parametrize(
    "region",
    [Region(5, 5, 5, 5), Region(-50, -50, -40, -40), Region(90, 90, 95, 95), Region(9, 9, 8, 8)],
)
def test_crop_of_a_degenerate_region_is_still_a_picture(region: Region) -> None:
    assert crop(np.zeros((10, 10, 3), np.uint8), region, (4, 4)).shape == (4, 4, 3)


def test_region_inside_has_at_least_a_pixel() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    for region in (Region(-5, -5, -1, -1), Region(30, 30, 40, 40), Region(2, 2, 2, 2)):
        inside = region.inside(image)
        assert inside.width >= 1
        assert inside.height >= 1
        assert 0 <= inside.left < inside.right <= 20
        assert 0 <= inside.top < inside.bottom <= 10


def test_box_is_in_fractions_and_within_the_picture() -> None:
    box = Region(-5, 5, 10, 20).box(np.zeros((10, 20, 3), np.uint8))
    assert (box.left, box.top, box.right, box.bottom) == (0, 0.5, 0.5, 1)
