"""A snapshot of candles is the same on both sides, and nobody learns from a damaged one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.market import COLUMNS
from tests.training.made_histories import DAY, make_history
from training.history import History, build_datasets
from training.snapshot import INDEX, keep_snapshot, read_snapshot

TWO = (make_history("BTC-USD"), make_history("SOL-USD", (0, 500), (530, 4_000), (9_000, 1)))


@pytest.fixture
def files(tmp_path: Path) -> FolderFiles:
    return FolderFiles(tmp_path)


def same_bits(one: History, other: History) -> bool:
    pairs = zip(one.stretches, other.stretches, strict=True)
    columns = ("open_times", *COLUMNS)
    return one.origin == other.origin and all(
        (a.symbol, a.interval) == (b.symbol, b.interval)
        and all(getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in columns)
        for a, b in pairs
    )


def pieces(files: FolderFiles) -> Iterator[str]:
    yield from files.stamps("data/")


def test_what_is_read_is_what_was_kept_to_the_last_bit(files: FolderFiles) -> None:
    name = keep_snapshot(files, TWO)
    found = read_snapshot(files, name)
    assert all(same_bits(a, b) for a, b in zip(found, TWO, strict=True))
    assert all(each.flags.c_contiguous for history in found for each in (history.stretches[0].close,))
    assert same_bits(*read_snapshot(files, name, ["SOL-USD"]), TWO[1])


def test_both_sides_have_the_same_data_hash(files: FolderFiles) -> None:
    histories = (make_history("BTC-USD"), make_history("ETH-USD", (0, 3 * DAY), (3 * DAY + 20, 3 * DAY)))
    found = read_snapshot(files, keep_snapshot(files, histories))
    at_home, away = build_datasets(histories, 60), build_datasets(found, 60)
    assert [each.data_hash for each in at_home] == [each.data_hash for each in away]
    assert all((a.features == b.features).all() for a, b in zip(at_home, away, strict=True))


def test_the_same_candles_are_kept_once_and_others_have_another_name(files: FolderFiles) -> None:
    name = keep_snapshot(files, TWO)
    before = files.stamps()
    assert keep_snapshot(files, TWO) == name
    assert files.stamps() == before, "nothing was written again"
    assert keep_snapshot(files, TWO[:1]) != name
    candles = TWO[0].stretches[0]
    close = candles.close.copy()
    close[100] = np.nextafter(close[100], candles.open[100])
    other = History("made-up", (replace(candles, close=close, field="candles"),))
    assert keep_snapshot(files, [other]) != keep_snapshot(files, TWO[:1])


def test_a_snapshot_without_its_index_is_kept_again(files: FolderFiles) -> None:
    name = keep_snapshot(files, TWO)
    files.remove(f"data/{name}/{INDEX}")
    with pytest.raises(CrpbotError) as caught:
        read_snapshot(files, name)
    assert caught.value.code is Code.NOT_FOUND
    assert f"no candles {name[:12]} in {files.url} as this machine sees it" in caught.value.detail
    assert (
        "remedy: a place that all machines reach, --bucket s3://NAME/PREFIX or a shared folder" in caught.value.detail
    )
    assert keep_snapshot(files, TWO) == name
    assert len(read_snapshot(files, name)) == len(TWO)


def test_a_changed_byte_is_refused_by_the_name_of_its_file(files: FolderFiles) -> None:
    name = keep_snapshot(files, TWO)
    for piece in list(pieces(files)):
        whole = files.read(piece, most=10_000_000)
        for place in (0, len(whole) // 2, len(whole) - 1):
            files.write(piece, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(CrpbotError, match="it was changed or is damaged") as caught:
                read_snapshot(files, name)
            assert piece in caught.value.detail
        for changed in (whole[:-1], whole + b"\0"):
            files.write(piece, changed)
            with pytest.raises(CrpbotError, match="damaged"):
                read_snapshot(files, name)
        files.write(piece, whole)
    assert len(read_snapshot(files, name)) == len(TWO)


def test_a_coin_that_is_not_in_it_is_refused_by_name(files: FolderFiles) -> None:
    with pytest.raises(CrpbotError, match="holds BTC-USD, SOL-USD and not LTC-USD"):
        read_snapshot(files, keep_snapshot(files, TWO), ["BTC-USD", "LTC-USD"])


def test_prices_take_less_than_two_thirds_of_their_bytes(files: FolderFiles) -> None:
    name = keep_snapshot(files, TWO[:1])
    size = len(files.read(f"data/{name}/BTC-USD.bin", most=10_000_000))
    assert size < 6 * DAY * len(COLUMNS) * 8 * 2 / 3
