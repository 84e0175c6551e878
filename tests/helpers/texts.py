"""The texts of a figure, where they are drawn."""

from collections.abc import Iterator

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_TOUCH = 1.5  # pixels at 200 dots per inch: boxes of text have some room of their own


def overlapping_texts(figure: Figure) -> list[str]:
    """What lies over another text, or beyond the edge of the figure."""
    figure.dpi = 200
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    found = []
    for k, (text, box) in enumerate(boxes):
        if not contains(figure.bbox, box):
            found.append(f"{text!r} leaves the figure")
        found += [f"{text!r} over {other!r}" for other, one in boxes[k + 1 :] if overlap(box, one)]
    return found


def drawn_texts(figure: Figure) -> Iterator[Text]:
    """Texts that can be seen; labels of ticks only where the tick lies in view."""
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    labels = {id(text): seen for axis in axes for text, seen in of_ticks(axis)}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and labels.get(id(text), True):
            yield text


def of_ticks(axis: Axis) -> Iterator[tuple[Text, bool]]:
    """The labels of an axis, and whether their ticks lie in view."""
    least, most = sorted(axis.get_view_interval())
    room = 1e-9 * (most - least)
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        for text in (tick.label1, tick.label2):
            yield text, bool(least - room <= tick.get_loc() <= most + room)


def overlap(one: Bbox, other: Bbox) -> bool:
    common = Bbox.intersection(one, other)
    return common is not None and min(common.width, common.height) > _TOUCH


def contains(outer: Bbox, inner: Bbox) -> bool:
    return (
        inner.x0 >= outer.x0 - _TOUCH
        and inner.y0 >= outer.y0 - _TOUCH
        and inner.x1 <= outer.x1 + _TOUCH
        and inner.y1 <= outer.y1 + _TOUCH
    )
