"""Distances on the sphere or in the plane, coordinates for a spatial index, and geohash cells; all vectorized.

A place is two numbers: latitude and longitude in degrees (WGS 84), or x and y in metres. Geohash: Niemeyer 2008; a cell
of precision p is the first 5p bits of interleaved longitude and latitude.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from services.assignment.matching.compiled import inlined

EARTH_RADIUS_M = 6_371_008.8
CHORD_M_MAX = 2 * EARTH_RADIUS_M
ZONE_PRECISION_MAX = 7
_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_BITS = 5 * ZONE_PRECISION_MAX
_LNG_BITS, _LAT_BITS = (_BITS + 1) // 2, _BITS // 2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Metric(StrEnum):
    """How far two places are apart."""

    HAVERSINE = "haversine"
    EUCLIDEAN = "euclidean"


def distance_m(metric: Metric, one: Floats, other: Floats) -> Floats:
    """Return distances in metres between places of shapes (..., 2), broadcast against each other."""
    if metric is Metric.EUCLIDEAN:
        planar: Floats = np.hypot(one[..., 0] - other[..., 0], one[..., 1] - other[..., 1])
        return planar
    phi_1, phi_2 = np.radians(one[..., 0]), np.radians(other[..., 0])
    half_chord = np.sin((phi_2 - phi_1) / 2) ** 2
    half_chord += np.cos(phi_1) * np.cos(phi_2) * np.sin(np.radians(other[..., 1] - one[..., 1]) / 2) ** 2
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(1.0, half_chord)))
    return result


def embedded_m(metric: Metric, places: Floats) -> Floats:
    """Return (n, 2) or (n, 3) coordinates in metres whose straight-line distances order pairs as distance_m does."""
    if metric is Metric.EUCLIDEAN:
        return places
    phi, theta = np.radians(places[:, 0]), np.radians(places[:, 1])
    return EARTH_RADIUS_M * np.column_stack([np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)])


def apart_m(metric: Metric, one: Floats, other: Floats) -> Floats:
    """Return distances in metres between embedded places of shapes (..., d): as distance_m, without its angles."""
    offset = one - other
    straight: Floats = np.sqrt(np.einsum("...i,...i->...", offset, offset))
    if metric is Metric.EUCLIDEAN:
        return straight
    result: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, straight / (2 * EARTH_RADIUS_M)))
    return result


@inlined
def along_ground_m(straight_m: float, is_sphere: bool) -> float:
    """Return the distance of two embedded places from the straight line between them: apart_m of one pair."""
    return CHORD_M_MAX * np.arcsin(min(1.0, straight_m / CHORD_M_MAX)) if is_sphere else straight_m


def straight_m(metric: Metric, distance: Floats) -> Floats:
    """Return the straight-line distance between embedded places that are `distance` metres apart."""
    if metric is Metric.EUCLIDEAN:
        return distance
    result: Floats = 2 * EARTH_RADIUS_M * np.sin(np.minimum(distance / (2 * EARTH_RADIUS_M), np.pi / 2))
    return result


def cells(lat: Floats, lng: Floats) -> Ints:
    """Return each point's geohash cell of precision ZONE_PRECISION_MAX as an integer."""
    lng_cell = np.minimum(((lng + 180) / 360 * (1 << _LNG_BITS)).astype(np.int64), (1 << _LNG_BITS) - 1)
    lat_cell = np.minimum(((lat + 90) / 180 * (1 << _LAT_BITS)).astype(np.int64), (1 << _LAT_BITS) - 1)
    cell = np.zeros(np.broadcast(lng_cell, lat_cell).shape, dtype=np.int64)
    for place in range(_BITS):
        # Bits alternate, longitude first, from the highest.
        source, index, width = (
            (lng_cell, place // 2, _LNG_BITS) if place % 2 == 0 else (lat_cell, place // 2, _LAT_BITS)
        )
        cell = (cell << 1) | ((source >> (width - 1 - index)) & 1)
    return cell


def zone_cell(prefix: str) -> int:
    """Return a geohash prefix as the integer of its own precision; ValueError for another alphabet."""
    cell = 0
    for character in prefix[:ZONE_PRECISION_MAX]:
        cell = cell << 5 | _ALPHABET.index(character)
    return cell


def bits_cut(precision: Ints) -> Ints:
    """Return how many bits a cell of `precision` characters lacks of one of ZONE_PRECISION_MAX."""
    return 5 * (ZONE_PRECISION_MAX - precision)


def zone_columns(zones: Sequence[Sequence[str]]) -> tuple[Ints, Ints, Ints]:
    """Return (offsets, cells, precisions) of each partner's geohash prefixes."""
    offsets = np.zeros(len(zones) + 1, dtype=np.int64)
    np.cumsum([len(z) for z in zones], out=offsets[1:])
    flat = [prefix for z in zones for prefix in z]
    prefixes = np.array([zone_cell(prefix) for prefix in flat], dtype=np.int64)
    return offsets, prefixes, np.array([min(len(p), ZONE_PRECISION_MAX) for p in flat], dtype=np.int64)
