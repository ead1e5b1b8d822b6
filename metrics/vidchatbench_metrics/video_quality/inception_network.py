"""The Inception network of FID: TensorFlow's model of 2015-12-05, as its port to torch stores it.

It is not torchvision's Inception v3: average pooling leaves the padding out of its mean, the last block pools by the
maximum, and the classifier, which is not needed here, has 1008 classes. Names of modules are those of the weights file
``pt_inception-2015-12-05-6726825d.pth``. Only extractors import this module, when they load the network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

_BATCH_NORM_EPSILON = 0.001

Size = int | tuple[int, int]


class _Conv(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_BATCH_NORM_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(maps)))


def _mean_pool(maps: Tensor) -> Tensor:
    return functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def _max_pool(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, stride=1, padding=1)


def _halve(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, stride=2)


class _Block35(nn.Module):
    """Blocks on maps of 35 x 35: 1x1, 5x5, two 3x3 in a row, and a pool."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1 = _Conv(inputs, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, maps: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(maps))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch1x1(maps), five, double, self.branch_pool(_mean_pool(maps))], dim=1)


class _Reduce35(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, maps: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), double, _halve(maps)], dim=1)


class _Block17(nn.Module):
    """Blocks on maps of 17 x 17: 1x1, 7x7 as a row and a column, the same twice, and a pool."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        inputs, outputs = 768, 192
        row: dict[str, Size] = {"kernel": (1, 7), "padding": (0, 3)}
        column: dict[str, Size] = {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = _Conv(inputs, outputs, 1)
        self.branch7x7_1 = _Conv(inputs, inner, 1)
        self.branch7x7_2 = _Conv(inner, inner, row["kernel"], padding=row["padding"])
        self.branch7x7_3 = _Conv(inner, outputs, column["kernel"], padding=column["padding"])
        self.branch7x7dbl_1 = _Conv(inputs, inner, 1)
        self.branch7x7dbl_2 = _Conv(inner, inner, column["kernel"], padding=column["padding"])
        self.branch7x7dbl_3 = _Conv(inner, inner, row["kernel"], padding=row["padding"])
        self.branch7x7dbl_4 = _Conv(inner, inner, column["kernel"], padding=column["padding"])
        self.branch7x7dbl_5 = _Conv(inner, outputs, row["kernel"], padding=row["padding"])
        self.branch_pool = _Conv(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(maps)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(maps), seven, double, self.branch_pool(_mean_pool(maps))], dim=1)


class _Reduce17(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        inputs = 768
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, maps: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(maps))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(maps)))
        return torch.cat([three, self.branch7x7x3_4(seven), _halve(maps)], dim=1)


class _Block8(nn.Module):
    """Blocks on maps of 8 x 8, whose branches fork into a row and a column."""

    def __init__(self, inputs: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._pool = pool
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        three = self.branch3x3_1(maps)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        parts = [self.branch1x1(maps), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(self._pool(maps))]
        return torch.cat(parts, dim=1)


class FidInception(nn.Module):
    """The network up to its last pooling: pictures of 299 x 299 in about -1..1 to vectors of 2048."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _Block35(192, pooled=32)
        self.Mixed_5c = _Block35(256, pooled=64)
        self.Mixed_5d = _Block35(288, pooled=64)
        self.Mixed_6a = _Reduce35(288)
        self.Mixed_6b = _Block17(128)
        self.Mixed_6c = _Block17(160)
        self.Mixed_6d = _Block17(160)
        self.Mixed_6e = _Block17(192)
        self.Mixed_7a = _Reduce17()
        self.Mixed_7b = _Block8(1280, _mean_pool)
        self.Mixed_7c = _Block8(2048, _max_pool)

    def forward(self, pictures: Tensor) -> Tensor:
        """Returns float of shape (n, 2048) for pictures of shape (n, 3, 299, 299)."""
        maps = _halve(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pictures))))
        maps = _halve(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(maps)))
        maps = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps))))
        maps = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(maps))))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))
        return functional.adaptive_avg_pool2d(maps, 1).flatten(1)
