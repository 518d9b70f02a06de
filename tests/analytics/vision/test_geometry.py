"""Boxes and crops, at the borders as well."""

import numpy as np
import pytest

from analytics.vision.geometry import Region, crop, fit, overlap, suppress, turn


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


@pytest.mark.parametrize("degrees", [-40.0, 25.0])
def test_what_tilts_is_upright_once_it_is_turned_back(degrees: float) -> None:
    image = np.zeros((90, 160, 3), np.uint8)
    # A bar of 4 by 40 pixels around (100, 40), its top to the right by that angle.
    rows, columns = np.mgrid[0:90, 0:160]
    lean = np.radians(degrees)
    along = (columns - 100) * np.sin(lean) - (rows - 40) * np.cos(lean)
    across = (columns - 100) * np.cos(lean) + (rows - 40) * np.sin(lean)
    image[(abs(along) <= 20) & (abs(across) <= 2)] = 255
    part = Region(60, 0, 130, 70)
    turned = turn(image, part, 140, degrees, 114)
    assert turned.scale == 2
    ys, xs = np.nonzero(turned.image[:, :, 0] > 200)
    assert np.ptp(xs) + 1 == pytest.approx(10, abs=3)
    assert np.ptp(ys) + 1 == pytest.approx(82, abs=4)
    found = turned.region(np.array([xs.min(), ys.min(), xs.max(), ys.max()], np.float32))
    assert found.centre == pytest.approx((100, 40), abs=1)
    assert (found.width, found.height) == pytest.approx((5, 41), abs=2)


def test_what_lies_outside_is_padding_when_a_part_is_turned() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    assert (turn(image, Region(100, 100, 110, 110), 8, 30, 114).image == 114).all()
    assert turn(image, Region(5, 5, 5, 5), 8, 30, 114).image.shape == (8, 8, 3)


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
